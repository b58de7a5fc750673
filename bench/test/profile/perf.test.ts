import { describe, expect, test } from '@jest/globals';
import { parsePerfScript, type PerfGroup, perfGroupOf, perfShares } from '../../src/profile/perf.js';

/** Lines of a real recording, of `perf` 6.1 on Linux 6 and Node 20. */
const script = `
 18459/18459  2711.415412:  ffffffff813a2293 finish_task_switch.isra.0 ([kernel.kallsyms])
 18461/18461  2711.532442:      7fd7b4eb6a9a malloc (/usr/lib/x86_64-linux-gnu/libc.so.6)
 18461/18461  2711.623404:      7fd7ade5ba81 Builtins_KeyedStoreIC (/usr/bin/node)
 18461/18492  2711.794728:  ffffffff81b677f0 _copy_to_iter ([kernel.kallsyms])
 18508/18508  2712.233368:  ffffffff8168fe9e __mem_cgroup_charge ([kernel.kallsyms])
 18461/18461  2712.331343:           119e872 v8::internal::ScavengerCollector::CollectGarbage (/usr/bin/node)
 18460/18466  2712.504136:           239e629 v8::internal::compiler::LinearScanAllocator::UpdateDeferredFixedRanges (/usr/bin/node)
 18460/18460  2712.745565:      7f3625770d8a __memmove_avx_unaligned_erms (/usr/lib/x86_64-linux-gnu/libc.so.6)
 18461/18461  2713.339953:           1897aed crc32_z (/usr/bin/node)
 18508/18508  2713.603841:      7f81db8a7305 [unknown] (/tmp/perf-18508.map)
 18459/18459  2714.171242:            bd8d55 node::BaseObject::decrease_refcount (/usr/bin/node)
 18508/18508  2714.720340:  ffffffff81e32fb7 __sk_mem_schedule ([kernel.kallsyms])
 18508/18508  2714.820340:           16432f1 nghttp2_session_mem_recv2 (/usr/bin/node)
 18508/18508  2715.920340:      7f81fb69b993 node::(anonymous namespace)::CRC32(v8::FunctionCallbackInfo<v8::Value> const&) (/usr/bin/node)
`;
const groups: PerfGroup[] = [
  'kernel: scheduling, interrupts',
  'malloc and free',
  'JavaScript and its runtime',
  'kernel: copying',
  'kernel: files and memory',
  'garbage collection',
  'compiling JavaScript',
  'copying buffers',
  'checksums',
  'JavaScript and its runtime',
  'Node and libuv',
  'kernel: sockets and TCP',
  'HTTP/2 framing',
  'checksums',
];

describe('samples of perf', () => {
  const samples = parsePerfScript(script);

  test('are read from its script', () => {
    expect(samples).toHaveLength(groups.length);
    expect(samples[3]).toEqual({
      pid: 18461,
      micros: 2_711_794_728,
      symbol: '_copy_to_iter',
      object: '[kernel.kallsyms]',
    });
  });

  test.each(samples.map((sample, index) => [groups[index], sample] as const))('%s: %j', (group, sample) => {
    expect(perfGroupOf(sample)).toBe(group);
  });

  test('are shared out by process and window', () => {
    const window = { fromMicros: 2_711_600_000, toMicros: 2_713_339_953 };
    const shares = perfShares(samples, 18461, window);
    expect([...shares].sort()).toEqual([
      ['JavaScript and its runtime', 1 / 3],
      ['garbage collection', 1 / 3],
      ['kernel: copying', 1 / 3],
    ]);
    expect(perfShares(samples, 1, window).size).toBe(0);
  });
});
