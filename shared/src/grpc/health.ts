/**
 * gRPC's health service, by which probes and load balancers learn whether a server can be used.
 *
 * The failure it answers: the handlers that come with its definition remember every service that anybody has ever
 * watched, whether there is one or not, and a name may be as long as a message.
 */
import type { Server, ServiceDefinition } from '@grpc/grpc-js';
import { HoldfastError } from '../errors/index.js';
import { serverStream, unary } from './server.js';

type Status = 'SERVING' | 'NOT_SERVING' | 'SERVICE_UNKNOWN';

interface Request {
  readonly service: string;
}

interface Response {
  readonly status: Status;
}

/** Each is a stream and no more; most probes ask and do not watch. */
const maxWatchers = 1_000;
/** Of a service's name, which stays in memory as long as it is watched; ours have 40. */
const maxNameLength = 255;

export class HealthService {
  readonly #statuses = new Map<string, Status>();
  /** Those who wait for the next change. */
  readonly #waiting = new Set<() => void>();
  #watchers = 0;

  /** What is answered from now on; '' is the server as a whole. */
  set(service: string, status: 'SERVING' | 'NOT_SERVING'): void {
    this.#statuses.set(service, status);
    for (const wake of this.#waiting) wake();
  }

  /** @param definition grpc.health.v1.Health */
  addTo(server: Pick<Server, 'addService'>, definition: ServiceDefinition): void {
    server.addService(definition, {
      Check: unary<Request, Response>(async ({ service }) => {
        const status = this.#statuses.get(service);
        if (status !== undefined) return { status };
        throw new HoldfastError('NOT_FOUND', 'the health of such a service is not known here', {
          remedy:
            'Ask for the server as a whole, with an empty name, or for a service that reflection lists.',
        });
      }),
      Watch: serverStream<Request, Response>(({ service }, send, signal) =>
        this.#watch(service, send, signal),
      ),
      List: unary<object, { statuses: Record<string, Response> }>(async () => ({
        statuses: Object.fromEntries([...this.#statuses].map(([service, status]) => [service, { status }])),
      })),
    });
  }

  async #watch(service: string, send: (told: Response) => Promise<void>, signal: AbortSignal): Promise<void> {
    if (this.#watchers >= maxWatchers) {
      throw new HoldfastError(
        'LIMIT_EXCEEDED',
        `${maxWatchers} callers watch the health of this server already`,
        {
          retryable: true,
          remedy: 'Ask with Check now and then, or try again later.',
        },
      );
    }
    if (service.length > maxNameLength) {
      throw new HoldfastError(
        'INVALID_ARGUMENT',
        `a service has a name of at most ${maxNameLength} characters`,
      );
    }
    this.#watchers += 1;
    try {
      for (let told: Status | undefined; ;) {
        const status = this.#statuses.get(service) ?? 'SERVICE_UNKNOWN';
        if (status === told) await this.#change(signal);
        else await send({ status: (told = status) });
      }
    } finally {
      this.#watchers -= 1;
    }
  }

  /** Resolves at the next change of anything; rejects when the caller is gone. */
  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        signal.removeEventListener('abort', wake);
        if (signal.aborted) reject(signal.reason as Error);
        else resolve();
      };
      signal.addEventListener('abort', wake, { once: true });
      this.#waiting.add(wake);
      if (signal.aborted) wake();
    });
  }
}
