/**
 * Guards whose absence a whole cluster notices, too: a history of the simulation that is right with the guard and breaks a
 * promise without it, for the scenario beside the package's own test.
 */

/** A part of the name of the history's test, by the name of the guard. */
const histories = {
  'data sync before the receipt': 'requests repeat while power goes',
  'directory sync after the rename': 'power goes after renames',
  'one effect for a request id': 'requests come twice',
  'chunk that another version uses': 'extents are shared',
  'expected version': 'versions are swapped',
  'witness of later metadata': 'older metadata come back',
};

/** The same guards, each with its history. */
export function inWholeCluster(guards) {
  return Object.entries(histories).map(([name, only]) => ({
    ...guards.find((guard) => guard.name === name),
    name: `${name}, in a whole cluster`,
    test: 'simulation/test/simulation.test.ts',
    only,
  }));
}
