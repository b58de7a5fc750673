/** Figures as people read them. */
import type { Spread } from '../stats.js';

/** Three significant digits, and all digits before the point: 1420, 142, 14.2, 0.142. '' for undefined. */
export function figure(value: number | undefined): string {
  if (value === undefined) return '';
  if (value === 0) return '0';
  const digits = 2 - Math.floor(Math.log10(Math.abs(value)));
  return value.toFixed(Math.min(6, Math.max(0, digits)));
}

/** "482 [393–489]"; the middle alone if there was one run. */
export function spreadWords({ median, min, max, count }: Spread): string {
  return count === 1 ? figure(median) : `${figure(median)} [${figure(min)}–${figure(max)}]`;
}

/** In MB (10^6 bytes). */
export function megabytes(bytes: number): string {
  return Math.round(bytes / 1e6).toString();
}
