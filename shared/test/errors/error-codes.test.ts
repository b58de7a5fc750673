import { describe, expect, it } from '@jest/globals';
import { commonV1 } from '@holdfast/proto';
import { readFileSync } from 'node:fs';
import { errorCodes, errorsDocPath } from './support.js';

const inContract = commonV1.ErrorCode.type as unknown as { value: { name: string }[] };

describe('the closed set of error codes', () => {
  const codes = Object.keys(errorCodes).sort();

  it('is the enum of the contract, both ways', () => {
    const enumerated = inContract.value
      .map(({ name }) => name.replace(/^ERROR_CODE_/, ''))
      .filter((name) => name !== 'UNSPECIFIED')
      .sort();
    expect(enumerated).toEqual(codes);
  });

  it('is documented in docs/errors.md, both ways, with the right exit status', () => {
    const page = readFileSync(errorsDocPath, 'utf8');
    const rows = [...page.matchAll(/^\| `([A-Z_]+)` \| (\d+) \|/gm)].map(([, code, exit]) => ({
      code: String(code),
      exit: Number(exit),
    }));
    expect(rows.map(({ code }) => code).sort()).toEqual(codes);
    for (const { code, exit } of rows) {
      expect({ code, exit }).toEqual({ code, exit: errorCodes[code as keyof typeof errorCodes].exit });
    }
  });
});
