/**
 * A disk for one test that can be made to hang, filled, taken away and cut off from power: ext4 in a file, on a loop
 * device. A frozen file system takes no
 * writes and no syncs; a device that the kernel's block layer throttles to a byte a second takes no reads. In both
 * the calls sleep in the kernel, where not even SIGKILL wakes them.
 *
 * The failure it answers: a test that dies would leave the machine with a mount that nobody can use or remove. So a
 * shell, waiting on a pipe from this process, cleans up when the pipe ends, however that came about.
 */
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import {
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rename,
  statfs,
  truncate,
  unlink,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { waitFor } from './wait.js';

const run = promisify(execFile);
/** Control groups, version 1: the reads of the processes in one are throttled for a device. */
const throttling = '/sys/fs/cgroup/blkio';
const readLimit = 'blkio.throttle.read_bps_device';

const cleanUp = `
cat
[ -z "$2" ] || echo "$3 0" > "$2/${readLimit}"
fsfreeze -u "$1" 2>&-
umount -l "$1"
# The group can go when the last process in it is gone.
for turn in 1 2 3 4 5 6 7 8 9 10; do [ -z "$2" ] || rmdir "$2" 2>&- && break; sleep 1; done
`;

const pageBytes = 4096;

/** MAJOR:MINOR of what is mounted at a path. */
async function deviceAt(path: string): Promise<string> {
  return (await run('stat', ['-c', '%Hd:%Ld', path])).stdout.trim();
}

async function limitWrites(device: string): Promise<void> {
  await writeFile(`/sys/dev/block/${device}/queue/max_sectors_kb`, String(pageBytes / 1024));
}

/** Neither a piece nor a name that a keeper knows. */
const ballastName = 'lost+found/ballast';

/** What is missing on this machine for a disk whose writes hang; undefined if nothing is. */
export function missingForHungWrites(): string | undefined {
  if (process.platform !== 'linux') return 'Linux';
  if (process.getuid?.() !== 0) return 'root';
  const tools = ['mkfs.ext4', 'mount', 'umount', 'fsfreeze'];
  const tool = tools.find((name) => spawnSync('sh', ['-c', `command -v ${name}`]).status !== 0);
  return tool ?? (existsSync('/dev/loop-control') ? undefined : 'loop devices');
}

/** The same for one whose reads hang. */
export function missingForHungReads(): string | undefined {
  const missing = missingForHungWrites();
  return missing ?? (existsSync(join(throttling, readLimit)) ? undefined : `${throttling}/${readLimit}`);
}

/** EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH. */
const shutDown =
  'open(my $dir, "<", $ARGV[0]) or die $!; my $flags = pack("L", 2); ioctl($dir, 0x8004587d, $flags) or die $!';

/** The same for one that loses power. */
export function missingForPowerCuts(): string | undefined {
  const hasPerl = spawnSync('perl', ['-e', '1']).status === 0;
  return missingForHungWrites() ?? (hasPerl ? undefined : 'perl');
}

export class LoopDisk {
  /** Where it is mounted. */
  readonly path: string;
  readonly #image: string;
  readonly #device: string;
  readonly #group: string | undefined;
  readonly #janitor: ChildProcess;
  readonly #pageByPage: boolean;

  private constructor(
    path: string,
    image: string,
    device: string,
    group: string | undefined,
    janitor: ChildProcess,
    pageByPage: boolean,
  ) {
    this.path = path;
    this.#image = image;
    this.#device = device;
    this.#group = group;
    this.#janitor = janitor;
    this.#pageByPage = pageByPage;
  }

  /**
   * Makes one of `sizeBytes` (sparse), with its bytes in the file `image`, and mounts it at `path`. With `pageByPage` it is
   * given no more than a page of memory at a time: of a larger write of which its image takes a part, Linux (6.18 at least)
   * says that all of it was written.
   */
  static async make(path: string, image: string, sizeBytes: number, pageByPage = false): Promise<LoopDisk> {
    await writeFile(image, '');
    await truncate(image, sizeBytes);
    // By itself it takes smaller blocks for disks of some megabytes, of which several are in a page.
    await run('mkfs.ext4', ['-q', '-F', ...(pageByPage ? ['-b', String(pageBytes)] : []), image]);
    await mkdir(path, { recursive: true });
    await run('mount', ['-o', 'loop', image, path]);
    const device = await deviceAt(path);
    if (pageByPage) await limitWrites(device);
    const throttled = missingForHungReads() === undefined;
    const group = throttled ? await mkdtemp(join(throttling, 'holdfast-test-')) : undefined;
    const janitor = spawn('sh', ['-c', cleanUp, 'sh', path, group ?? '', device], {
      stdio: ['pipe', 'ignore', 'ignore'],
      // A Ctrl-C ends the tests first.
      detached: true,
    });
    return new LoopDisk(path, image, device, group, janitor, pageByPage);
  }

  /** Undoes `fill`. */
  async freeAll(): Promise<void> {
    await unlink(join(this.path, ballastName));
  }

  /** From now on names can be neither made nor removed in a directory of it, by nobody: root heeds no permissions. */
  async forbidChanges(directory: string): Promise<void> {
    await run('chattr', ['+i', join(this.path, directory)]);
  }

  async allowChanges(directory: string): Promise<void> {
    await run('chattr', ['-i', join(this.path, directory)]);
  }

  /** From now on whoever writes or syncs sleeps. Resolves when what was under way is done. */
  async freeze(): Promise<void> {
    await run('fsfreeze', ['-f', this.path]);
  }

  async thaw(): Promise<void> {
    await run('fsfreeze', ['-u', this.path]);
  }

  /** From now on the process sleeps in every read that the page cache cannot answer; the cache is emptied for that. */
  async hangReads(pid: number): Promise<void> {
    if (this.#group === undefined) throw new Error(`there is no ${throttling}/${readLimit}`);
    await writeFile(join(this.#group, 'cgroup.procs'), String(pid));
    await writeFile(join(this.#group, readLimit), `${this.#device} 1`);
    // Of these files only: others on this machine want to keep theirs.
    const emptyCache = ['dd', 'if={}', 'iflag=nocache', 'count=0', 'status=none'];
    // Some of them vanish meanwhile.
    await run('find', [this.path, '-ignore_readdir_race', '-type', 'f', '-exec', ...emptyCache, ';']);
  }

  async releaseReads(): Promise<void> {
    if (this.#group !== undefined) await writeFile(join(this.#group, readLimit), `${this.#device} 0`);
  }

  /** Takes it away under those who have files open on it; what is left is the empty directory. */
  async unmount(): Promise<void> {
    await run('umount', ['-l', this.path]);
  }

  async mount(): Promise<void> {
    // Whoever has files open still holds the device: a second one over the same image would destroy it.
    const held = await this.#heldDevice();
    await run('mount', held === '' ? ['-o', 'loop', this.#image, this.path] : [held, this.path]);
    if (this.#pageByPage) await limitWrites(await deviceAt(this.path));
  }

  /**
   * What a power cut is to a file system: from now on nothing gets to the medium any more, nor has of what was not there
   * already, the journal's last transaction included. `mount` it again when nobody uses it any more.
   */
  async cutPower(): Promise<void> {
    await run('perl', ['-e', shutDown, this.path]);
  }

  /** After `cutPower`: what a machine finds when it comes up again. */
  async restorePower(): Promise<void> {
    await waitFor('nobody to use the disk', () => run('umount', [this.path]).then(() => true));
    // A copy: somebody with a mount namespace of his own may hold the old one, in the state that it is in.
    await run('cp', ['--sparse=always', this.#image, `${this.#image}.copy`]);
    await rename(`${this.#image}.copy`, this.#image);
    await this.mount();
  }

  async #heldDevice(): Promise<string> {
    return (await run('losetup', ['-n', '-O', 'NAME', '-j', this.#image])).stdout.trim();
  }

  /** Fills it with a file of this name, to the last block, as others on the machine may. */
  async fill(name = ballastName): Promise<void> {
    const path = join(this.path, name);
    const { bfree, bsize } = await statfs(this.path);
    // Without writing as much; where the tool is missing, or there is less room by now, writing does it.
    await run('fallocate', ['-l', String(Math.floor(bfree * bsize * 0.99)), path]).catch(() => undefined);
    const file = await open(path, 'a');
    try {
      for (let bytes = Buffer.alloc(1024 * 1024, 1); bytes.length >= 512;) {
        try {
          await file.write(bytes);
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
          bytes = bytes.subarray(0, bytes.length / 2);
        }
      }
      await file.sync();
    } finally {
      await file.close();
    }
  }

  /** Lets go of everything that hangs, and unmounts. Call it when nobody uses the disk any more. */
  async remove(): Promise<void> {
    const ended = new Promise((resolve) => this.#janitor.once('close', resolve));
    this.#janitor.stdin?.end();
    await ended;
  }
}

/** How many threads of a process sleep in the kernel where nothing wakes them: in a hung disk. */
export async function hungThreads(pid: number): Promise<number> {
  const threads = await readdir(`/proc/${pid}/task`);
  const states = await Promise.all(
    threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/stat`, 'utf8').catch(() => '')),
  );
  // "PID (name) STATE …", and the name may hold anything.
  return states.filter((state) => state.slice(state.lastIndexOf(')')).startsWith(') D')).length;
}
