/** Which kind of work a frame of a V8 profile is: the groups in which the profile says where the time goes. */
import type { Frame, Stack } from './cpu-profile.js';

/** In the order of the report. */
export const groups = [
  'files',
  'sockets',
  'HTTP/2',
  'grpc-js',
  'protobuf',
  'copying buffers',
  'checksums',
  'garbage collection',
  'streams, events, queues',
  'our own code',
  'other JavaScript',
  'native, outside JavaScript',
  'idle',
] as const;
export type Group = (typeof groups)[number];

/** The first that fits decides; what a rule does not name may be anything. */
interface Rule {
  readonly group: Group;
  readonly name?: RegExp;
  readonly url?: RegExp;
}

const rules: readonly Rule[] = [
  // V8's own words. Its idle time is the event loop's whole poll phase, where Node also reads from sockets.
  { group: 'idle', name: /^\(idle\)$/ },
  { group: 'garbage collection', name: /^\(garbage collector\)$/ },
  { group: 'native, outside JavaScript', name: /^\(program\)$/ },

  { group: 'checksums', name: /^crc32/ },
  { group: 'checksums', url: /^node:(internal\/)?crypto|\/domain\/checksum\.js$/ },
  // V8 shows a copy of bytes as its caller, where it compiled the call away.
  { group: 'copying buffers', name: /^(copy|_copy|_copyActual|concat|writeBytesBuffer_set)$/ },
  { group: 'copying buffers', url: /^node:(internal\/)?buffer$/ },
  { group: 'files', url: /^node:(internal\/)?fs(\/|$)/ },
  { group: 'HTTP/2', url: /^node:(internal\/)?http2(\/|$)/ },
  { group: 'sockets', url: /^node:(net|internal\/stream_base_commons)$/ },
  { group: 'protobuf', url: /\/node_modules\/(@?protobufjs|@grpc\/proto-loader|long)\// },
  { group: 'protobuf', name: /\$(encode|decode|toObject|fromObject)$/ }, // compiled by protobufjs at run time
  { group: 'grpc-js', url: /\/node_modules\/@grpc\// },
  { group: 'other JavaScript', url: /\/node_modules\// },
  { group: 'our own code', url: /^file:/ },
  {
    group: 'streams, events, queues',
    url: /^node:(internal\/)?(streams|events|event_target|process|timers|async_hooks|abort_controller)(\/|$)/,
  },
  { group: 'streams, events, queues', name: /^runMicrotasks$/ },
  { group: 'other JavaScript', url: /^node:/ },
];

/** The group of the innermost frame. A native function, which has no place, belongs to who called it. */
export function groupOf(stack: Stack): Group {
  for (const frame of stack) {
    const rule = rules.find((rule) => fits(rule, frame));
    if (rule) return rule.group;
  }
  return 'other JavaScript';
}

function fits({ name, url }: Rule, frame: Frame): boolean {
  return (name?.test(frame.functionName) ?? true) && (url?.test(frame.url) ?? true);
}
