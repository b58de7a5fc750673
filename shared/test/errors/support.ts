import { fileURLToPath } from 'node:url';

export { errorCodes } from '../../src/errors/index.js';
export const errorsDocPath = fileURLToPath(new URL('../../../docs/errors.md', import.meta.url));
