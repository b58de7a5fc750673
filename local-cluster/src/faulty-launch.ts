/** Servers behind gates and on disks that can be full, so that faults can befall them while they run. */
import type { DataKeeper, DataKeeperOptions } from '@holdfast/data-keeper';
import type { MasterTracker } from '@holdfast/master-tracker';
import { nodeFileSystem } from '@holdfast/shared/node';
import type { FaultControls } from './faults.js';
import { fillable } from './fillable-file-system.js';
import { Gate } from './gate.js';
import type { Running } from './member.js';

/** Behind the gate: nobody but the gate comes here. */
const anyPort = '127.0.0.1:0';

/** @param start starts the tracker on an address */
export async function launchFaultyTracker(
  listen: string,
  start: (listen: string) => Promise<MasterTracker>,
): Promise<Running> {
  return behindGates(listen, async (gate, address) => {
    const tracker = await start(anyPort);
    gate.target = tracker.address;
    return { tracker, address };
  }).then(({ started: { tracker, address }, gates }) => ({
    address,
    controls: controlsOf(gates),
    stop: () => tracker.stop().finally(() => closeAll(gates)),
    kill: () => Promise.all([tracker.kill(), closeAll(gates)]).then(() => undefined),
  }));
}

type Where = Pick<DataKeeperOptions, 'listen' | 'tracker' | 'advertise' | 'fileSystem'>;

/** @param start starts the keeper where it is told */
export async function launchFaultyKeeper(
  listen: string,
  trackerAddress: string,
  start: (where: Where) => Promise<DataKeeper>,
): Promise<Running> {
  const disk = fillable(nodeFileSystem);
  return behindGates(listen, async (gate, advertise, link) => {
    link.target = trackerAddress;
    const tracker = await link.listen(anyPort);
    const keeper = await start({ listen: anyPort, advertise, tracker, fileSystem: disk.fileSystem });
    gate.target = keeper.boundAddress;
    return keeper;
  }).then(({ started: keeper, gates }) => ({
    address: keeper.address,
    keeperId: keeper.keeperId,
    controls: { ...controlsOf(gates), full: (isFull: boolean) => disk.setFull(isFull) },
    stop: () => keeper.stop().finally(() => closeAll(gates)),
    kill: () => Promise.all([keeper.kill(), closeAll(gates)]).then(() => undefined),
  }));
}

/** The gate that a server's peers come through, and the one through which it goes to its tracker. */
type Gates = readonly [gate: Gate, link: Gate];

async function behindGates<Started>(
  listen: string,
  start: (gate: Gate, address: string, link: Gate) => Promise<Started>,
): Promise<{ started: Started; gates: Gates }> {
  const gates: Gates = [new Gate(), new Gate()];
  try {
    const address = await gates[0].listen(listen);
    return { started: await start(gates[0], address, gates[1]), gates };
  } catch (error) {
    await closeAll(gates);
    throw error;
  }
}

async function closeAll(gates: Gates): Promise<void> {
  await Promise.all(gates.map((gate) => gate.close()));
}

function controlsOf(gates: Gates): FaultControls {
  return {
    partition: (isCutOff) => {
      for (const gate of gates) {
        if (isCutOff) gate.shut();
        else gate.open();
      }
    },
    slow: (delayMs) => {
      for (const gate of gates) gate.delayMs = delayMs;
    },
  };
}
