/** How much each workload moves: as the project's targets are stated, or little enough for a test. */
export interface Sizes {
  /** Of the big file, in bytes. */
  readonly bigBytes: number;
  /** Of the product's cluster: as many as the most copies that are measured, as one more would only idle. */
  readonly keepers: number;
  /** Numbers of copies of the big file. */
  readonly replicas: readonly number[];
  /**
   * How often everything that is timed is done before the clock runs, with the big file. What is compared are servers
   * that have been up for a while: in the first 2 GiB V8 still compiles what it runs, which takes a keeper a third more
   * CPU time.
   */
  readonly warmUpRounds: number;
  /** Durable writes of a block. */
  readonly syncs: number;
  /** Bare unary calls. */
  readonly calls: number;
  readonly smallFiles: readonly { readonly sizeBytes: number; readonly count: number }[];
  /** A tree of files of 1 to 16 KiB. */
  readonly tree: Tree;
  /** What goes up and down before it, for code that is cold. */
  readonly warmUpTree: Tree;
  readonly rangedReads: number;
  readonly metadataCalls: number;
  /** Side by side, who share the big file's bytes. */
  readonly clients: number;
}

interface Tree {
  readonly files: number;
  readonly directories: number;
}

const kib = 1024;
const mib = 1024 * kib;

export const fullSizes: Sizes = {
  bigBytes: 1024 * mib,
  keepers: 3,
  replicas: [1, 2, 3],
  warmUpRounds: 2,
  syncs: 2_000,
  calls: 10_000,
  smallFiles: [
    { sizeBytes: 4 * kib, count: 10_000 },
    { sizeBytes: 64 * kib, count: 2_000 },
  ],
  tree: { files: 20_000, directories: 500 },
  warmUpTree: { files: 100, directories: 10 },
  rangedReads: 2_000,
  metadataCalls: 5_000,
  clients: 64,
};

export const quickSizes: Sizes = {
  bigBytes: 4 * mib,
  keepers: 2,
  replicas: [2],
  warmUpRounds: 1,
  syncs: 32,
  calls: 128,
  smallFiles: [
    { sizeBytes: 4 * kib, count: 32 },
    { sizeBytes: 64 * kib, count: 16 },
  ],
  tree: { files: 30, directories: 5 },
  warmUpTree: { files: 5, directories: 2 },
  rangedReads: 32,
  metadataCalls: 32,
  clients: 2,
};
