/** The other systems that `--peers` measures, where they are installed. */
import type { Contender } from '../contender.js';
import { hdfs } from './hdfs.js';
import { moosefs } from './moosefs.js';
import { weed } from './weed.js';

export const peers: readonly Contender[] = [moosefs, weed, hdfs];
