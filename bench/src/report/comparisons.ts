/** Ratios between different cases of one run, which the tables of equal cases do not have. */
import { caseWords, type Sample, type Workload } from '../samples.js';
import { ratio, type Selection, type Spread } from '../stats.js';
import { product, rowsOf } from './rows.js';

export interface Comparison {
  readonly words: string;
  readonly ratio: Spread;
}

const syncs: Selection = {
  workload: 'machine',
  subject: 'disk',
  case: { action: 'write and sync', sizeBytes: 4_096, inFlight: 1 },
};
const bareCalls = (inFlight: number): Selection => ({
  workload: 'machine',
  subject: 'grpc-js',
  case: { action: 'call', inFlight },
});

/** What else each case of the product is compared with. */
function othersFor(own: Selection): readonly Selection[] {
  switch (own.workload) {
    case 'small':
      return own.case.action === 'up' ? [syncs, bareCalls(1), bareCalls(64)] : [bareCalls(1), bareCalls(64)];
    case 'metadata':
      return [bareCalls(own.case.inFlight ?? 1)];
    case 'clients':
      return own.case.clients === 1 ? [] : [{ ...own, case: { ...own.case, clients: 1 } }];
    case 'latency': {
      const { action, replicas } = own.case;
      return [
        {
          workload: 'big',
          subject: own.subject,
          case: { action, ...(replicas !== undefined && { replicas }) },
        },
      ];
    }
    case 'trees':
      return /one by one/.test(own.case.action)
        ? []
        : [{ ...own, case: { ...own.case, action: `${own.case.action}, one by one` } }];
    case 'machine':
    case 'big':
    case 'ranges':
      return [];
  }
}

/** Those for which the samples have both sides. */
export function comparisonsOf(samples: readonly Sample[], workload: Workload): Comparison[] {
  return rowsOf(samples, workload)
    .filter(({ subject }) => subject === product)
    .flatMap((row) =>
      othersFor(row).flatMap((other) => {
        const found = ratio(samples, row, other);
        const words = `${caseWords(row.case)} / ${other.subject === product ? '' : `${other.subject}, `}${caseWords(other.case)}`;
        return found ? [{ words, ratio: found }] : [];
      }),
    );
}
