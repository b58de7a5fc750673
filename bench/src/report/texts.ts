/** What each workload is, and what its figures do not show. A figure without the second is read as more than it is. */
import { nodeSettings } from '../node-settings.js';
import type { Workload } from '../samples.js';

export interface WorkloadText {
  readonly title: string;
  readonly about: string;
  readonly notShown: string;
}

export const generalCaveats = `
- Everything ran on one machine: client, tracker and keepers shared its cores, its memory and its disk, and the
  network was loopback. On machines of their own each has all of that to itself, and a real link between them.
- Absolute figures belong to this machine and hour. Ratios are between runs of the same round, and are the figures
  to compare with; those within a table are minutes apart, those to another workload may be further.
- A rate is a median over the rounds, with the smallest and the largest. A ratio is the median of the rounds' own
  ratios.
- Every contender had moved its load before the clock ran (the big file twice, a part of the small ones), \`sync\` ran before
  every step, and on Linux (without --quick) the free
  memory was filled with page cache before every contender.
- The processes of the bench that use the library, and those of the floors, were started with
  \`${[...(nodeSettings.nodeFlags ?? [])].join(' ')}\` and 16 threads in Node's pool; the command line as its launcher starts it.
- CPU seconds are user and system time of all processes of a role, for each GB (10^9 bytes) of payload, or for each
  1000 files or calls; the kernel counts them in steps of 10 ms. "command" is every program that was run to its end
  for the step (\`cp\`, \`sync\`, \`dd\`, the command line). Work that the kernel does on nobody's account (writing
  back, interrupts) is in none of them.
- Peak memory is the largest resident size of any process of a role during a step, in MB (10^6 bytes), and counts
  pages that are shared with other processes.
- Lengths were compared after every transfer, and contents once for each contender and setting, outside the time.
`.trim();

export const workloadTexts: Readonly<Record<Workload, WorkloadText>> = {
  machine: {
    title: 'The machine and Node by themselves',
    about:
      'Memory: `Buffer.copy` of 1 MiB blocks between areas of 256 MiB. tcp: bytes one way over loopback between two ' +
      'Node processes. disk: 4 KiB appended to a file and `fdatasync`. grpc-js: bare unary calls of 64 bytes between ' +
      'two processes, with the defaults of grpc-js.',
    notShown:
      'A copy with one core says nothing of several cores copying at once. Loopback copies in the kernel, and has ' +
      "neither a card nor a wire. The disk's syncs are as honest as the disk (a virtual one may answer from the " +
      "host's memory), and appending also syncs the file's length.",
  },
  big: {
    title: 'One big file',
    about:
      'Up: until every copy is durable (with "no sync": until every copy is written). Down: every byte read into ' +
      'memory and dropped. Down to file: written to a local file, which is synced as uploads are. `cp` writes all ' +
      'copies side by side, each followed by `sync FILE`; plain HTTP/1.1 sends 16 MiB pieces to every server itself, ' +
      '4 at a time. holdfast-cli is the command line with its start and end.',
    notShown:
      "Reads come from page caches, for all alike: this is the way of the bytes and not the disk's read rate. `cp` " +
      'has no second process, no network and no checksum; its down is one read of a cached file. Plain HTTP has no ' +
      'checksums, no metadata and no retries, and its client sends each copy itself where the product has keepers ' +
      'hand them on. One file says nothing of many.',
  },
  clients: {
    title: 'Many clients at once',
    about:
      'The bytes of the big file, moved by one client or in equal shares by many, 2 copies. Clients are clients of ' +
      'the library with connections and memory of their own, 16 to a process. "Slowest / mean" compares what each ' +
      'got in its own time.',
    notShown:
      'The clients share the cores with the keepers, so more clients take CPU from the servers. All want the same ' +
      'and start together. The peak memory of the client role is that of a process of 16 clients.',
  },
  small: {
    title: 'Many small files',
    about:
      'Each file is an upload (and a download) of its own, from memory and to memory, 2 copies, durable when the ' +
      'upload returns. One at a time moves a tenth of the files, 16 at a time a quarter. p50 and p99 are of single ' +
      'files.',
    notShown:
      'All files are in one directory of an empty cluster, and every reader reads what was just written. The plain ' +
      'HTTP service only makes a file and syncs it: it has no names beyond file names and no transaction. The rate ' +
      'of syncs one at a time is no bound for several: syncs that overlap share the work.',
  },
  trees: {
    title: 'A tree of small files',
    about:
      'Files of 1 to 16 KiB in directories of 40, from a local directory and back into one, 2 copies, durable when ' +
      'the command returns. Holdfast: `upload -r` and `download -r`, with the start of the program. "One by one": ' +
      'the library, an upload for each file, 32 at a time. `cp -r` to as many directories as copies, side by side, ' +
      '`rsync -a` likewise, and `tar` to as many archives, then `sync -f`. Tools that are not installed are left out.',
    notShown:
      'The tree is in the page cache before anybody reads it. `cp`, `rsync` and `tar` sync once at the end, with nothing ' +
      'durable before; after Holdfast has named a file, it is. An archive has to be unpacked before one file can be ' +
      'replaced.',
  },
  ranges: {
    title: 'Small reads of a big file',
    about:
      '64 KiB at random offsets of the big file, 2 copies. First byte: from the request to the first bytes handed to ' +
      'the program. Each read asks the cluster where the bytes are.',
    notShown:
      'The file is in page caches; on a cold disk its seek comes on top. Plain HTTP knows without asking where a ' +
      'piece is, and verifies nothing.',
  },
  metadata: {
    title: 'Metadata',
    about:
      'Describing an entry, listing a directory of 100, and making a directory, which is durable when it returns.',
    notShown:
      'The namespace is nearly empty, and one client process asks: it may be the limit and not the tracker.',
  },
  latency: {
    title: 'The big file at 4 ms of round-trip time',
    about:
      'All connections of the clients, and those between keepers, go through a proxy that holds every byte for 2 ms ' +
      'each way. "1 in flight" is one stream at a time; Holdfast then still syncs up to four chunks that were sent before. grpc-js: a bare call on the same way, which shows what the round ' +
      'trip really was.',
    notShown:
      "Node's timers tick once a millisecond, so the way is some tenths longer than it says. The bandwidth is the " +
      "machine's, nothing is ever lost, and connections open without the delay. The proxy itself takes CPU, which is " +
      'in no figure, from the same cores.',
  },
};
