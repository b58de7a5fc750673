/**
 * Names for people. A name may hold anything but "/" and NUL, also codes that move the cursor or hide the rest of
 * the line, so on a terminal such names are shown as a shell would take them, as GNU ls does. Pure.
 */

/** Control characters, and those that reorder or hide what follows on a terminal. */
const unprintable = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/u;

const short: Readonly<Record<string, string>> = { '\n': '\\n', '\t': '\\t', '\r': '\\r', '\u001b': '\\e' };

function escaped(character: string): string {
  const known = short[character];
  if (known !== undefined) return known;
  return [...Buffer.from(character)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('');
}

/** `name` itself if it can be shown, else `$'a\nb'`. */
export function terminalName(name: string): string {
  if (!unprintable.test(name)) return name;
  const quoted = [...name].map((character) => {
    if (character === "'" || character === '\\') return `\\${character}`;
    return unprintable.test(character) ? escaped(character) : character;
  });
  return `$'${quoted.join('')}'`;
}

/** Words with whatever names are in them, on lines as they are: what cannot be shown is escaped. */
export function terminalWords(words: string): string {
  if (!unprintable.test(words)) return words;
  return [...words]
    .map((character) => (character !== '\n' && unprintable.test(character) ? escaped(character) : character))
    .join('');
}
