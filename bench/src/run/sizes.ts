/** How much each workload moves: as the project's targets are stated, or little enough for a test. */
export interface Sizes {
  /** Of the big file, in bytes. */
  readonly bigBytes: number;
  /** Numbers of copies of the big file. */
  readonly replicas: readonly number[];
  /** Durable writes of a block. */
  readonly syncs: number;
  /** Bare unary calls. */
  readonly calls: number;
  readonly smallFiles: readonly { readonly sizeBytes: number; readonly count: number }[];
  /** A tree of files of 1 to 16 KiB. */
  readonly tree: { readonly files: number; readonly directories: number };
  readonly rangedReads: number;
  readonly metadataCalls: number;
  /** Side by side, who share the big file's bytes. */
  readonly clients: number;
}

const kib = 1024;
const mib = 1024 * kib;

export const fullSizes: Sizes = {
  bigBytes: 1024 * mib,
  replicas: [1, 2, 3],
  syncs: 2_000,
  calls: 10_000,
  smallFiles: [
    { sizeBytes: 4 * kib, count: 10_000 },
    { sizeBytes: 64 * kib, count: 2_000 },
  ],
  tree: { files: 20_000, directories: 500 },
  rangedReads: 2_000,
  metadataCalls: 5_000,
  clients: 64,
};

export const quickSizes: Sizes = {
  bigBytes: 32 * mib,
  replicas: [2],
  syncs: 64,
  calls: 256,
  smallFiles: [
    { sizeBytes: 4 * kib, count: 64 },
    { sizeBytes: 64 * kib, count: 32 },
  ],
  tree: { files: 100, directories: 10 },
  rangedReads: 32,
  metadataCalls: 64,
  clients: 4,
};
