/**
 * A small real gRPC server in the tracker's place: answers keepers as the contract says, and as a test tells it
 * to. It notes all it was told.
 */
import type {
  CompleteTaskRequestOutput,
  HeartbeatRequestOutput,
  KeeperTask,
  RegisterKeeperRequestOutput,
  ReportPiecesRequestOutput,
} from '@holdfast/proto';
import { trackerV1 } from '@holdfast/proto';
import type { HoldfastError, Random } from '@holdfast/shared';
import { type Authority, newId, signToken } from '@holdfast/shared';
import { createServer, listen, unary, writeAuthority } from '@holdfast/shared/grpc';
import { systemRandom } from '@holdfast/shared/node';

export class FakeTracker {
  readonly tokenKey: Buffer;
  readonly receiptKey: Buffer;
  authority: Authority;
  uptimeMs = 1_000;
  /** No test takes so long, on whatever machine: a lease that ends is ended by a clock that is set ahead. */
  leaseMs = 600_000;
  heartbeatIntervalMs = 20;
  /** The wish for a report that every heartbeat's answer carries. */
  wantedReport = '';
  /** Runs before each heartbeat is answered. */
  beforeHeartbeatAnswer: (request: HeartbeatRequestOutput) => void = () => undefined;
  /** Runs before each page of a report is answered. */
  beforeReportAnswer: () => Promise<void> = () => Promise.resolve();
  /** Runs before the answer to a task is taken. */
  beforeTaskAnswer: () => Promise<void> = () => Promise.resolve();
  /** Handed out with every heartbeat until completed. */
  readonly tasks = new Map<string, KeeperTask>();
  /** Which keepers are given the tasks. */
  taskFor: (keeperId: string) => boolean = () => true;
  readonly registrations: RegisterKeeperRequestOutput[] = [];
  readonly heartbeats: HeartbeatRequestOutput[] = [];
  readonly pages: ReportPiecesRequestOutput[] = [];
  readonly completed: CompleteTaskRequestOutput[] = [];
  /** Thrown by the named call, as long as it is set. */
  readonly refuse: { register?: HoldfastError; heartbeat?: HoldfastError; report?: HoldfastError } = {};
  address = '';
  #server = createServer({ maxMessageBytes: 16 * 1024 * 1024 });
  readonly #random: Random;

  constructor(random: Random = systemRandom) {
    this.#random = random;
    this.tokenKey = random.bytes(32);
    this.receiptKey = random.bytes(32);
    this.authority = { clusterId: newId(random), epoch: 1, instanceId: newId(random), transactionId: 7 };
  }

  async start(address = '127.0.0.1:0'): Promise<this> {
    const answer = (): ReturnType<typeof writeAuthority> => writeAuthority(this.authority, this.uptimeMs);
    this.#server.addService(trackerV1.KeeperRegistryService.service, {
      RegisterKeeper: unary(async (request: RegisterKeeperRequestOutput) => {
        if (this.refuse.register) throw this.refuse.register;
        this.registrations.push(request);
        const { heartbeatIntervalMs, leaseMs, tokenKey, receiptKey } = this;
        return Promise.resolve({ authority: answer(), heartbeatIntervalMs, leaseMs, tokenKey, receiptKey });
      }),
      Heartbeat: unary(async (request: HeartbeatRequestOutput) => {
        this.heartbeats.push(request);
        this.beforeHeartbeatAnswer(request);
        if (this.refuse.heartbeat) throw this.refuse.heartbeat;
        return Promise.resolve({
          authority: answer(),
          leaseMs: this.leaseMs,
          tasks: this.taskFor(request.keeperId) ? [...this.tasks.values()] : [],
          wantedReport: this.wantedReport,
        });
      }),
      ReportPieces: unary(async (request: ReportPiecesRequestOutput) => {
        if (this.refuse.report) throw this.refuse.report;
        this.pages.push(request);
        await this.beforeReportAnswer();
        return Promise.resolve({ authority: answer() });
      }),
      CompleteTask: unary(async (request: CompleteTaskRequestOutput) => {
        this.completed.push(request);
        this.tasks.delete(request.taskId);
        await this.beforeTaskAnswer();
        return Promise.resolve({ authority: answer() });
      }),
    });
    this.address = await listen(this.#server, address);
    return this;
  }

  /** Cuts every connection and frees the port. */
  stop(): void {
    this.#server.forceShutdown();
  }

  /** The same metadata, started anew: a higher epoch, another instance, on the same port. */
  async restart(): Promise<void> {
    this.stop();
    this.#server = createServer({ maxMessageBytes: 16 * 1024 * 1024 });
    this.authority = {
      ...this.authority,
      epoch: this.authority.epoch + 1,
      instanceId: newId(this.#random),
    };
    await this.start(this.address);
  }

  writeToken(
    chunkId: string,
    uploadId: string,
    { maxLengthBytes = 64 * 1024 * 1024, epoch = this.authority.epoch, expiresAtUptimeMs = 1e9 } = {},
  ): Buffer {
    return signToken(
      { operation: 'write', chunkId, uploadId, maxLengthBytes, epoch, expiresAtUptimeMs },
      this.tokenKey,
    );
  }

  readToken(
    chunkId: string,
    { epoch = this.authority.epoch, expiresAtUptimeMs = 1e9, key = this.tokenKey } = {},
  ): Buffer {
    return signToken({ operation: 'read', chunkId, epoch, expiresAtUptimeMs }, key);
  }
}
