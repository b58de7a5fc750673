// `npm run build`: dependencies and dist/ up to date. Does nothing when they are.
import { prepare } from './prepare.mjs';

prepare();
