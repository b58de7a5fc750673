import { runHistory } from './history.js';
const from = Number(process.argv[2] ?? 1); const count = Number(process.argv[3] ?? 1);
for (let seed = from; seed < from + count; seed++) {
  const t = performance.now();
  const r = await runHistory(seed);
  console.log(seed, (r.simulatedMs/1000).toFixed(0)+'s', ((performance.now()-t)/1000).toFixed(2)+'s', r.fingerprint, r.violation ?? 'ok');
  const lines = Number(process.env['LINES'] ?? 0);
  if (lines) console.log(r.trace.slice(-lines).join('\n'));
}
