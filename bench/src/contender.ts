/**
 * What the bench compares: the product, the floors that can store files, and the peers. Each hides its servers,
 * its client and its tools behind the same few verbs, so that one harness times them all alike.
 */

/** Something that stores files durably: the product, a floor, or a peer. One at a time runs on the machine. */
export interface Contender {
  /** Short, unique: 'holdfast', 'http', 'cp', 'moosefs', 'weed', 'hdfs'. */
  readonly name: string;
  /** Whether it has no way to run with `sync` false. Default false. */
  readonly alwaysSyncs?: boolean;
  /** The numbers of copies that are worth measuring. Default: all that are asked for. */
  readonly copies?: readonly number[];
  /** What it can do beside moving one file. Default: nothing. */
  readonly abilities?: readonly Ability[];
  /** Why it cannot run here, in a phrase for people; undefined if it can. */
  unavailable(): Promise<string | undefined>;
  /** What it is, for the results: 'MooseFS 3.0.117'. Asked only if it can run. */
  version?(): Promise<string>;
  /** Starts servers and whatever client stays connected, with all data below `dataDir` (empty, exists). */
  start(options: ContenderOptions): Promise<RunningContender>;
}

/** Each stands for the optional members of RunningContender (or ContenderOptions) that say so. */
export type Ability = 'many files' | 'trees' | 'ranges' | 'metadata' | 'many clients' | 'delay';

export interface ContenderOptions {
  readonly dataDir: string;
  /** Copies of each file. */
  readonly replicas: number;
  /** Whether a finished upload is on stable storage (true), or may be in page caches (false). */
  readonly sync: boolean;
  /** How many servers of the product hold data; the peers choose for themselves. */
  readonly keepers: number;
  /** Ability 'delay': all connections between its processes take this round-trip time. Default: none added. */
  readonly roundTripMs?: number;
}

/** How a transfer is made. */
export interface TransferOptions {
  /** Streams, pieces or chunks at once. Default: the contender's own default. */
  readonly inFlight?: number;
}

export interface RunningContender {
  /** Stores a local file; resolves when `replicas` copies are durable (with sync). */
  upload(localPath: string, name: string, options?: TransferOptions): Promise<void>;
  /** Reads every byte and drops it. Resolves to the number of bytes. */
  download(name: string): Promise<number>;
  /** Reads into a local file. */
  downloadToFile(name: string, localPath: string, options?: TransferOptions): Promise<void>;
  /** The SHA-256, in hexadecimal, of what `download` reads; for those that verify more than the file on disk. */
  digest?(name: string): Promise<string>;
  remove(name: string): Promise<void>;

  /** Ability 'many files': stores each; resolves to how long each took, in milliseconds. */
  uploadMany?(batch: Batch): Promise<Float64Array>;
  /** Ability 'many files': reads each, and rejects if a length is wrong; how long each took, in milliseconds. */
  downloadMany?(batch: Batch): Promise<Float64Array>;
  /** Ability 'many files': reads each, and rejects if any byte is wrong. */
  verifyMany?(batch: Batch): Promise<void>;

  /** Ability 'trees': stores a local directory with all that is in it, durably. */
  uploadTree?(localDir: string, name: string): Promise<void>;
  /** Ability 'trees': reads it into a local directory that is not there yet. */
  downloadTree?(name: string, localDir: string): Promise<void>;
  /** The same as uploadTree in the plainest way, if that is another: an upload for each file, some at a time. */
  uploadTreeSingly?(localDir: string, name: string): Promise<void>;

  /** Ability 'ranges': reads each range of a file, and rejects if a length is wrong. */
  readRanges?(name: string, ranges: readonly Range[], inFlight: number): Promise<RangeTimes>;
  /** Ability 'ranges': the SHA-256, in hexadecimal, of the ranges one after the other. */
  digestRanges?(name: string, ranges: readonly Range[]): Promise<string>;

  /** Ability 'metadata': makes `count` calls; resolves to how long each took, in milliseconds. */
  callMany?(call: MetadataCall, count: number, inFlight: number): Promise<Float64Array>;

  /** Ability 'many clients': connects so many clients that share nothing but the machine. */
  connectMany?(count: number): Promise<ManyClients>;

  /** Every process that works for it, for CPU and memory accounting. */
  processes(): readonly ContenderProcess[];
  /** Ends everything it started; safe to call twice. Must also be run when the bench is interrupted. */
  stop(): Promise<void>;
}

export interface ContenderProcess {
  readonly role: 'client' | 'keeper' | 'tracker' | 'server';
  readonly pid: number;
}

/** Many files of one size, whose contents their numbers decide. */
export interface Batch {
  /** A name that no other batch of this run has. */
  readonly name: string;
  readonly count: number;
  readonly sizeBytes: number;
  readonly inFlight: number;
  readonly seed: number;
}

export interface Range {
  readonly start: number;
  readonly lengthBytes: number;
}

/** For each range, in milliseconds from the request. */
export interface RangeTimes {
  readonly firstByteMs: Float64Array;
  readonly lastByteMs: Float64Array;
}

/** Describe one entry; list a directory of 100; make a directory. */
export type MetadataCall = 'stat' | 'list' | 'mkdir';

export interface ManyClients {
  /** Every client stores the local file under a name of its own, all at once. */
  upload(localPath: string, name: string): Promise<readonly Transfer[]>;
  /** Every client reads what it stored under `name`, all at once, and drops it. */
  download(name: string): Promise<readonly Transfer[]>;
  processes(): readonly ContenderProcess[];
  stop(): Promise<void>;
}

/** What one client moved, in its own time. */
export interface Transfer {
  readonly bytes: number;
  readonly seconds: number;
}
