/**
 * docs/client-api.md, made from the docstrings of what `@holdfast/client` exports, so that it says what the code says.
 *
 * `node scripts/api-page.mjs` writes the page; with `--check` it only compares, and ends with status 1 if the page is
 * not what the docstrings say (`npm run check` does that). The examples on the page are run by
 * tests/integration/examples.test.ts.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import prettier from 'prettier';
import ts from 'typescript';
import { root } from './prepare.mjs';

const page = join(root, 'docs', 'client-api.md');
const entry = join(root, 'client', 'src', 'index.ts');

/** The sources of all packages, not their builds: the page can be made before anything is built. */
function openProgram() {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.base.json'), ts.sys.readFile);
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, root);
  const customConditions = ['@holdfast/source'];
  return ts.createProgram([entry], { ...options, composite: false, noEmit: true, customConditions });
}

const program = openProgram();
const checker = program.getTypeChecker();

/** What index.ts exports, in its order, behind the aliases. */
function exportedSymbols() {
  const module = checker.getSymbolAtLocation(program.getSourceFile(entry));
  return checker
    .getExportsOfModule(module)
    .map((symbol) => (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol));
}

/** Lines that belong together in one line: how a docstring is wrapped means nothing. */
const flowed = (text) =>
  text
    .trim()
    .split(/\n\s*\n/)
    .map((paragraph) => (/^\s*[-*] /m.test(paragraph) ? paragraph : paragraph.replace(/\s*\n\s*/g, ' ')))
    .join('\n\n');

const prose = (symbol) => flowed(ts.displayPartsToString(symbol.getDocumentationComment(checker)));

const tags = (symbol, name) =>
  symbol
    .getJsDocTags(checker)
    .filter((tag) => tag.name === name)
    .map((tag) => ts.displayPartsToString(tag.text));

const code = (text) => ['```ts', text.trim(), '```', ''];

/** Prose, errors and examples of a symbol. */
function described(symbol) {
  const errors = tags(symbol, 'throws').map(
    (text) => `Errors: ${flowed(text).replace(/^HoldfastError /, '')}`,
  );
  const examples = tags(symbol, 'example').flatMap((text) => ['Example:', '', ...code(text)]);
  return [prose(symbol), '', ...errors.flatMap((line) => [line, '']), ...examples];
}

/** A declaration as it was written, without its body, `async`, and the names of the modules that types are from. */
function signature(declaration) {
  const text = declaration.getSourceFile().text;
  const end = declaration.body?.getStart() ?? declaration.end;
  return text
    .slice(declaration.name.getStart(), end)
    .replace(/\s+/g, ' ')
    .replace(/\( /g, '(')
    .replace(/,? \)/g, ')')
    .replace(/\b[a-z]\w*\.(?=[A-Z])/g, '')
    .replace(/[;\s]+$/, '');
}

/** The declarations that callers see: of an overloaded method the overloads. */
function callable(symbol) {
  const all = symbol.declarations.filter(
    (each) => ts.isMethodDeclaration(each) || ts.isFunctionDeclaration(each),
  );
  const overloads = all.filter((each) => !each.body);
  return overloads.length > 0 ? overloads : all;
}

const isPublic = (declaration) =>
  !ts.isPrivateIdentifier(declaration.name) &&
  !(ts.getCombinedModifierFlags(declaration) & ts.ModifierFlags.Private);

function functionSection(symbol, level) {
  const heading = symbol.name.startsWith('__@') ? '[Symbol.asyncDispose]' : symbol.name;
  return [
    `${level} ${heading}`,
    '',
    ...code(callable(symbol).map(signature).join('\n')),
    ...described(symbol),
  ];
}

/** Properties as a table; a cell cannot have lines. */
function propertyTable(symbols) {
  const rows = symbols.map((symbol) => {
    const [declaration] = symbol.declarations;
    const optional = symbol.flags & ts.SymbolFlags.Optional ? '?' : '';
    const type = (declaration.type?.getText() ?? '')
      .replace(/\s+/g, ' ')
      .replace(/ \| undefined$/, '')
      .replace(/\breadonly /g, '')
      .replace(/\|/g, '\\|');
    const words = prose(symbol).replace(/\n+/g, ' ').replace(/\|/g, '\\|');
    return `| \`${symbol.name}${optional}\` | ${type === '' ? '' : `\`${type}\``} | ${words} |`;
  });
  return rows.length === 0 ? [] : ['| name | type | meaning |', '| --- | --- | --- |', ...rows, ''];
}

function classSection(symbol) {
  const type = checker.getDeclaredTypeOfSymbol(symbol);
  // What a class has from JavaScript's own is not ours to describe.
  const own = type
    .getProperties()
    .filter(({ declarations }) =>
      declarations?.some((each) => each.parent.symbol === symbol && isPublic(each) && each.name),
    );
  const isMethod = ({ flags }) => (flags & ts.SymbolFlags.Method) !== 0;
  const named = (each) => !each.name.startsWith('__@holdfast') && !each.name.startsWith('__@marker');
  return [
    `## ${symbol.name}`,
    '',
    ...described(symbol),
    ...propertyTable(own.filter((each) => !isMethod(each) && named(each))),
    ...own.filter(isMethod).flatMap((method) => functionSection(method, '###')),
  ];
}

function typeSection(symbol) {
  const [declaration] = symbol.declarations;
  const head = [`### ${symbol.name}`, '', ...described(symbol)];
  if (ts.isInterfaceDeclaration(declaration)) {
    return [...head, ...propertyTable(checker.getDeclaredTypeOfSymbol(symbol).getProperties())];
  }
  const text = declaration.type.getText();
  const shown = /\bkeyof\b/.test(text)
    ? checker.typeToString(
        checker.getDeclaredTypeOfSymbol(symbol),
        undefined,
        ts.TypeFormatFlags.NoTruncation | ts.TypeFormatFlags.InTypeAlias,
      )
    : text;
  return [...head, ...code(`type ${symbol.name} = ${shown}`)];
}

/** The comment at the top of index.ts, with its example. */
function opening() {
  const [range] = ts.getLeadingCommentRanges(readFileSync(entry, 'utf8'), 0);
  const text = readFileSync(entry, 'utf8').slice(range.pos, range.end);
  const lines = text.replace(/^\/\*\*|\*\/$/g, '').replace(/^ \* ?/gm, '');
  const [words, example] = lines.split('@example\n');
  return [flowed(words), '', 'Example:', '', ...code(example)];
}

function constantSection(symbol) {
  return [
    `## ${symbol.name}`,
    '',
    ...code(`const ${signature(symbol.valueDeclaration)}`),
    ...described(symbol),
  ];
}

function markdown() {
  const symbols = exportedSymbols();
  const having = (flag) => symbols.filter(({ flags }) => flags & flag);
  const types = having(ts.SymbolFlags.Interface | ts.SymbolFlags.TypeAlias);
  return [
    '# The client library',
    '',
    '<!-- Made from the docstrings by scripts/api-page.mjs: change those, and run it. -->',
    '',
    ...opening(),
    'Errors are described in [errors.md](errors.md), the words in [glossary.md](glossary.md). Every example is run as a',
    'test, against a cluster with a few files, with `client` connected to it.',
    '',
    ...having(ts.SymbolFlags.Function).flatMap((symbol) => functionSection(symbol, '##')),
    ...having(ts.SymbolFlags.Class).flatMap(classSection),
    ...having(ts.SymbolFlags.Variable).flatMap(constantSection),
    '## Types',
    '',
    ...types.sort((a, b) => (a.name < b.name ? -1 : 1)).flatMap(typeSection),
  ].join('\n');
}

const config = await prettier.resolveConfig(page);
const wanted = await prettier.format(markdown(), { ...config, filepath: page });
if (!process.argv.includes('--check')) writeFileSync(page, wanted);
else if (ts.sys.readFile(page) !== wanted) {
  console.error('docs/client-api.md is not what the docstrings of client/src say.');
  process.exitCode = 1;
}
