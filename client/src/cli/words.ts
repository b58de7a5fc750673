/** Numbers in the words of people: sizes, rates, durations, copies, dates. Pure. */
import prettyBytes from 'pretty-bytes';
import type { Durability } from '../ports/tracker-api.js';

export function sizeWords(bytes: number): string {
  return prettyBytes(bytes, { binary: true });
}

/** Below this a rate measures round trips, not bytes. */
const rateFromBytes = 1024 * 1024;

/** Bytes a second; '' where that would mean nothing. */
export function rateWords(bytes: number, durationMs: number): string {
  return bytes < rateFromBytes || durationMs < 1 ? '' : `${sizeWords((bytes / durationMs) * 1_000)}/s`;
}

/**
 * What was moved, how long it took, and how fast that was where it means something; what was there already did not
 * have to move.
 */
export function movedWords(bytes: number, durationMs: number, resumedBytes = 0): string {
  const rate = rateWords(bytes - resumedBytes, durationMs);
  return `${sizeWords(bytes)} in ${durationWords(durationMs)}${rate === '' ? '' : ` (${rate})`}`;
}

export function durationWords(durationMs: number): string {
  if (durationMs < 1_000) return `${Math.round(durationMs)} ms`;
  const seconds = durationMs / 1_000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

const ordinals = ['first', 'second', 'third', 'fourth', 'fifth', 'sixth', 'seventh', 'eighth'];

/** How safe a version is now: "3 copies", or "2 of 3 copies now; the third follows when a keeper is back". */
export function copiesWords({ chunks, fewest, wanted }: Durability): string {
  if (chunks === 0) return 'empty, nothing to copy';
  if (fewest >= wanted) return wanted === 1 ? '1 copy' : `${fewest} copies`;
  const now = `${fewest} of ${wanted} copies now`;
  if (wanted - fewest > 1) return `${now}; the others follow when keepers are back`;
  return `${now}; the ${ordinals[wanted - 1] ?? 'last'} follows when a keeper is back`;
}

/** Local time to the minute, as `ls -l` has it. */
export function timeWords(unixMs: number): string {
  const date = new Date(unixMs);
  if (Number.isNaN(date.getTime())) return '?';
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** Local time to the second, as a log has it. */
export function secondWords(unixMs: number): string {
  const date = new Date(unixMs);
  if (Number.isNaN(date.getTime())) return '?';
  return `${timeWords(unixMs)}:${String(date.getSeconds()).padStart(2, '0')}`;
}

/** "1 file", "2 files". */
export function countWords(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
