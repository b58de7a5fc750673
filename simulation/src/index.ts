/** What the tests of real processes have from the simulation. No promise to anybody else. */
export { damageOf, partsOf } from './chunk-file.js';
