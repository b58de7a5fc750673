// Generates from the .proto files: proto/src/gen, one TypeScript file for each message and service (by
// proto-loader's own generator) and an index over them; and proto/descriptors.json, what gRPC reflection
// serves. Runs before every build; writes nothing when the .proto files are no newer than what was generated.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(fileURLToPath(import.meta.url));
const generated = join(root, 'src', 'gen');
const index = join(generated, 'index.ts');
const descriptors = join(root, 'descriptors.json');
const require = createRequire(import.meta.url);

/** Every file below a folder, as paths relative to the proto folder, in a stable order. */
function filesBelow(folder, ending) {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .sort();
}

const protos = [...filesBelow('holdfast', '.proto'), ...filesBelow('google', '.proto')];
const standardServices = filesBelow('grpc', '.proto');
const newestInput = Math.max(
  statSync(fileURLToPath(import.meta.url)).mtimeMs,
  ...[...protos, ...standardServices].map((file) => statSync(join(root, file)).mtimeMs),
);
if ([index, descriptors].every((file) => existsSync(file) && statSync(file).mtimeMs > newestInput)) {
  process.exit(0);
}

rmSync(generated, { recursive: true, force: true });
mkdirSync(generated, { recursive: true });
const loaderPackage = require.resolve('@grpc/proto-loader/package.json');
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

/** What `buf` makes of the .proto files, comments included, or undefined where there is no buf for the platform. */
function descriptorSet(format) {
  const config = { version: 'v2', modules: [{ path: '.', excludes: ['node_modules'] }] };
  try {
    const buf = join(dirname(require.resolve('@bufbuild/buf/package.json')), 'bin', 'buf');
    const args = ['build', root, '--as-file-descriptor-set', '--config', JSON.stringify(config)];
    return execFileSync(process.execPath, [buf, ...args, '-o', `-#format=${format}`], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'ignore'],
      maxBuffer: 64 * 1024 * 1024,
    });
  } catch {
    return undefined;
  }
}

/** The serialised FileDescriptorProtos of a FileDescriptorSet: field 1, length-delimited, again and again. */
function* filesOf(set) {
  for (let at = 0; at < set.length;) {
    at += 1;
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = set[at++];
      length |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    yield set.subarray(at, at + length);
    at += length;
  }
}

/** The full names of all messages, enums, services and methods below a scope. */
function symbolsOf(scope, { messageType, nestedType, enumType, service, method }) {
  const declared = [messageType, nestedType, enumType, service, method].flatMap((list) => list ?? []);
  return declared.flatMap((each) => {
    const name = `${scope}.${each.name}`;
    return [name, ...symbolsOf(name, each)];
  });
}

const json = descriptorSet('json');
const bytes = descriptorSet('binpb');
// Without buf there is no reflection; everything else works.
const files =
  json === undefined || bytes === undefined
    ? []
    : JSON.parse(json).file.map((file, number) => ({
        name: file.name,
        dependencies: file.dependency ?? [],
        symbols: symbolsOf(file.package, file),
        base64: [...filesOf(bytes)][number].toString('base64'),
      }));
writeFileSync(descriptors, `${JSON.stringify(files)}\n`);
