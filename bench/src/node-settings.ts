/** How the bench starts Node where it stands in for a program of the product's users, or for a floor. */
import type { ChildOptions } from './children/child.js';

export const nodeSettings: ChildOptions = {
  // V8 takes buffers that pass through for a heap that grows, and collects garbage again and again for nothing.
  // Keepers are started with this flag; a program that uses the library has it if it is started so.
  nodeFlags: ['--initial-old-space-size=512'],
  // As client/bin/client.cjs does, which says why.
  environment: { UV_THREADPOOL_SIZE: '16' },
};
