/** The version of this package, as status and --version show it. */
import { createRequire } from 'node:module';

const manifest = createRequire(import.meta.url)('../package.json') as { version: string };

export const softwareVersion: string = manifest.version;
