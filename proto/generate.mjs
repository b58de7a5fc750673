// Generates proto/src/gen from the .proto files: one TypeScript file for each message and service (by
// proto-loader's own generator) and an index over them. Runs before every build; writes nothing when the
// .proto files are no newer than what was generated.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(fileURLToPath(import.meta.url));
const generated = join(root, 'src', 'gen');
const index = join(generated, 'index.ts');

/** Every file below a folder, as paths relative to the proto folder, in a stable order. */
function filesBelow(folder, ending) {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .sort();
}

const protos = [...filesBelow('holdfast', '.proto'), ...filesBelow('google', '.proto')];
const newestInput = Math.max(
  statSync(fileURLToPath(import.meta.url)).mtimeMs,
  ...protos.map((file) => statSync(join(root, file)).mtimeMs),
);
if (existsSync(index) && statSync(index).mtimeMs > newestInput) process.exit(0);

rmSync(generated, { recursive: true, force: true });
mkdirSync(generated, { recursive: true });
const loaderPackage = createRequire(import.meta.url).resolve('@grpc/proto-loader/package.json');
// The options must be those that src/index.ts passes to loadSync, or types and values disagree.
execFileSync(
  process.execPath,
  [
    join(dirname(loaderPackage), 'build', 'bin', 'proto-loader-gen-types.js'),
    '--longs=Number',
    '--enums=String',
    '--defaults',
    '--oneofs',
    '--includeComments',
    '--grpcLib=@grpc/grpc-js',
    '--importFileExtension=.js',
    `--includeDirs=${root}`,
    `--outDir=${generated}`,
    ...protos,
  ],
  { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] },
);

const lines = ['// Made by generate.mjs. One entry to every message and service of the contract.'];
for (const file of filesBelow(join('src', 'gen', 'holdfast'), '.ts').concat(
  filesBelow(join('src', 'gen', 'google', 'rpc'), '.ts'),
)) {
  const name = file.slice(file.lastIndexOf('/') + 1, -'.ts'.length).replace(/^.*\\/, '');
  const from = `./${relative(join('src', 'gen'), file).replaceAll('\\', '/').replace(/\.ts$/, '.js')}`;
  lines.push(
    name.endsWith('Service')
      ? `export type { ${name}Client, ${name}Definition, ${name}Handlers } from '${from}';`
      : `export type { ${name}, ${name}__Output as ${name}Output } from '${from}';`,
  );
}
for (const file of filesBelow(join('src', 'gen'), '.ts')) {
  const base = relative(join('src', 'gen'), file).replaceAll('\\', '/');
  if (base.includes('/') || base === 'index.ts') continue;
  const stem = base.replace(/\.ts$/, '');
  const type = stem.replace(/(^|_)([a-z])/g, (_match, _underscore, letter) => letter.toUpperCase());
  lines.push(`export type { ProtoGrpcType as ${type}File } from './${stem}.js';`);
}
writeFileSync(index, `${lines.join('\n')}\n`);
