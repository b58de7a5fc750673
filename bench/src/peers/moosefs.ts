/**
 * MooseFS 3.0 (C), as Debian packages it: a private master, three chunkservers and a mount, all below the data
 * directory, with the packages' own defaults but for what moosefs-config.ts says.
 *
 * - Network. Chunkservers refuse a master on 127.0.0.0/8. Instead of opening ports to the outside, everything runs
 *   in a network namespace of its own, whose loopback interface has one more address. That takes root.
 * - Upload is `dd` into the mount, with `conv=fsync` for `sync`, until `mfscheckfile` counts the wanted copies of
 *   every chunk. MooseFS promises less than that word says: fsync on the mount ends when the chunkservers have the
 *   bytes in their page caches. With HDD_FSYNC_BEFORE_CLOSE they sync some 0.1 s later (seen with strace), so its
 *   upload figures leave out the last sync, in its favour.
 * - Download is `dd iflag=direct`. A plain read after an upload comes from the kernel's page cache and moves no
 *   byte over the network. With `iflag=direct`, all of them do, each once (counted on the namespace's interface), and
 *   it is faster than a mount that is told to cache nothing (`mfscachemode=NEVER` or `DIRECT`), which also keeps
 *   the mount at its defaults.
 */
import { execFile } from 'node:child_process';
import { access, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Contender, ContenderOptions, ContenderProcess, RunningContender } from '../contender.js';
import { command, missingPrograms } from '../machine/command.js';
import { address, chunkserverConfig, masterConfig, ports, writeConfig } from './moosefs-config.js';
import { bytesCopied, hasCopies } from './moosefs-output.js';
import { Servers } from './servers.js';

const programs = ['mfsmaster', 'mfschunkserver', 'mfsmount', 'mfssetgoal', 'mfscheckfile', 'fusermount3'];
const machinePrograms = ['ip', 'unshare', 'nsenter', 'dd'];
const packages = 'moosefs-master moosefs-chunkserver moosefs-client fuse3';

/** As many as the product's keepers in the same comparison. */
const chunkserverCount = 3;
/** Copies are there when `dd` ends, or a moment later if the master has yet to hear of them. */
const copiesPollMs = 5;

export const moosefs: Contender = {
  name: 'moosefs',

  async unavailable() {
    if (process.platform !== 'linux') return 'it runs on Linux only';
    const missing = await missingPrograms(programs);
    if (missing.length > 0) return `no ${missing.join(', ')}: apt-get install ${packages}`;
    const missingTools = await missingPrograms(machinePrograms);
    if (missingTools.length > 0) return `no ${missingTools.join(', ')}: apt-get install iproute2 util-linux`;
    if (process.getuid?.() !== 0) return 'it needs root, for a mount and a network of its own';
    try {
      await access('/dev/fuse');
    } catch {
      return 'there is no /dev/fuse: modprobe fuse';
    }
    return undefined;
  },

  async start(options) {
    const running = new RunningMooseFs(options);
    try {
      return await running.start();
    } catch (error) {
      await running.stop();
      throw error;
    }
  },
};

class RunningMooseFs implements RunningContender {
  readonly #options: ContenderOptions;
  readonly #servers: Servers;
  readonly #mountPoint: string;
  readonly #stopping = new AbortController();
  /** The ends of the copies that are under way. */
  readonly #copies = new Set<Promise<void>>();
  /** The command that runs what follows it in the private network. */
  #inside: readonly string[] = [];

  constructor(options: ContenderOptions) {
    this.#options = options;
    this.#servers = new Servers(options.dataDir);
    this.#mountPoint = join(options.dataDir, 'mount');
  }

  async start(): Promise<this> {
    await this.#startMaster();
    for (let number = 1; number <= chunkserverCount; number++) await this.#startChunkserver(number);
    await this.#mount();
    await this.#awaitChunkservers();
    await this.#tool('mfssetgoal', String(this.#options.replicas), this.#mountPoint);
    // Removed files would otherwise stay, and take room, for a day.
    await this.#tool('mfssettrashtime', '0', this.#mountPoint);
    return this;
  }

  async upload(localPath: string, name: string): Promise<void> {
    const target = this.#path(name);
    await this.#copy(localPath, target, this.#options.sync ? ['conv=fsync'] : []);
    while (!(await this.#hasCopies(target, this.#options.replicas))) await sleep(copiesPollMs);
  }

  async download(name: string): Promise<number> {
    return bytesCopied(await this.#copy(this.#path(name), '/dev/null', ['iflag=direct']));
  }

  async downloadToFile(name: string, localPath: string): Promise<void> {
    const fsync = this.#options.sync ? ['conv=fsync'] : [];
    await this.#copy(this.#path(name), localPath, ['iflag=direct', ...fsync]);
  }

  async remove(name: string): Promise<void> {
    await rm(this.#path(name));
  }

  processes(): readonly ContenderProcess[] {
    return this.#servers.processes;
  }

  async stop(): Promise<void> {
    // While its servers still answer: a program that waits for a mount without servers cannot be ended at all.
    this.#stopping.abort();
    await Promise.all(this.#copies);
    // Lazily, so that nothing that is still open can keep the mount.
    if (await this.#isMounted()) await command('fusermount3', '-u', '-z', this.#mountPoint);
    await this.#servers.stop();
  }

  /** `dd` in steps of 1 MiB; what it says of itself. */
  async #copy(from: string, to: string, operands: readonly string[]): Promise<string> {
    const copying = promisify(execFile)('dd', [`if=${from}`, `of=${to}`, 'bs=1M', ...operands], {
      env: { ...process.env, LC_ALL: 'C' }, // in English, for `bytesCopied`
      signal: this.#stopping.signal,
    });
    const { child } = copying;
    const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
    this.#copies.add(ended);
    try {
      return (await copying).stderr;
    } finally {
      void ended.then(() => this.#copies.delete(ended));
    }
  }

  #path(name: string): string {
    return join(this.#mountPoint, name);
  }

  async #startMaster(): Promise<void> {
    const dir = join(this.#options.dataDir, 'master');
    await mkdir(dir, { recursive: true });
    await writeFile(join(dir, 'exports.cfg'), `${address} / rw,alldirs,maproot=0\n`);
    await writeFile(join(dir, 'topology.cfg'), '');
    await writeFile(join(dir, 'metadata.mfs'), 'MFSM NEW'); // what the package ships as an empty file system
    await writeConfig(join(dir, 'master.cfg'), masterConfig(dir, this.#options.sync));
    const prepare = `ip link set lo up && ip address add ${address}/32 dev lo && exec "$@"`;
    const master = ['mfsmaster', '-f', '-c', join(dir, 'master.cfg'), 'start'];
    const pid = this.#servers.start('tracker', 'unshare', ['--net', 'sh', '-c', prepare, 'sh', ...master]);
    this.#inside = ['nsenter', `--net=/proc/${pid}/ns/net`];
    // The namespace is complete when its preparation has become the master; before, one would enter another.
    await this.#servers.waitUntil('the MooseFS master', async () => {
      return (await readFile(`/proc/${pid}/comm`, 'utf8')).trim() === 'mfsmaster';
    });
  }

  async #startChunkserver(number: number): Promise<void> {
    const dir = join(this.#options.dataDir, `chunkserver-${number}`);
    await mkdir(join(dir, 'hdd'), { recursive: true });
    await writeFile(join(dir, 'hdd.cfg'), `${join(dir, 'hdd')}\n`);
    await writeConfig(join(dir, 'chunkserver.cfg'), chunkserverConfig(dir, number, this.#options.sync));
    this.#startInside('keeper', 'mfschunkserver', '-f', '-c', join(dir, 'chunkserver.cfg'), 'start');
  }

  async #mount(): Promise<void> {
    await mkdir(this.#mountPoint, { recursive: true });
    // Delayed: it connects as soon as the master listens, instead of ending if that is not yet so.
    const options = 'mfsdelayedinit,mfsnice=0,mfsallowoomkiller';
    const master = ['-H', address, '-P', String(ports.clients)];
    this.#startInside('client', 'mfsmount', '-f', ...master, '-o', options, this.#mountPoint);
    await this.#servers.waitUntil('the MooseFS mount', async () => {
      return (await this.#isMounted()) && (await this.#tool('mfsgetgoal', this.#mountPoint)) !== '';
    });
  }

  /** Until a new file gets a copy on each of them. */
  async #awaitChunkservers(): Promise<void> {
    await this.#tool('mfssetgoal', String(chunkserverCount), this.#mountPoint);
    const probe = this.#path('.probe');
    await this.#servers.waitUntil('all MooseFS chunkservers', async () => {
      // Another file each time: one that got too few copies is repaired only after a minute.
      await rm(probe, { force: true });
      await writeFile(probe, 'probe');
      return this.#hasCopies(probe, chunkserverCount);
    });
    await rm(probe);
  }

  async #hasCopies(path: string, copies: number): Promise<boolean> {
    return hasCopies(await this.#tool('mfscheckfile', path), copies);
  }

  /** From the kernel's list, because a stat of a mount that hangs would hang too. */
  async #isMounted(): Promise<boolean> {
    const shown = this.#mountPoint.replaceAll(' ', '\\040');
    return (await readFile('/proc/self/mounts', 'utf8')).includes(` ${shown} fuse`);
  }

  #startInside(role: ContenderProcess['role'], ...words: string[]): void {
    const [program = '', ...args] = [...this.#inside, ...words];
    this.#servers.start(role, program, args);
  }

  async #tool(...words: string[]): Promise<string> {
    const [program = '', ...args] = [...this.#inside, ...words];
    return command(program, ...args);
  }
}
