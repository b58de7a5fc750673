/** What is stored before a keeper dies. */

/** The product's default. Files are whole chunks, so the bytes of a piece are known without asking for them. */
export const chunkBytes = 16 * 1024 ** 2;
/** Files of moderate size: one read of a load client takes a second at most. */
export const fileBytes = 4 * chunkBytes;

export function dataPath(index: number): string {
  return `/data-${index}`;
}
