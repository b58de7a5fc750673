/** Servers behind gates, so that faults of the network can befall them while they run. */
import type { FaultControls } from './faults.js';
import { Gate } from './gate.js';
import type { Launch, Running } from './member.js';

/** Behind the gate: nobody but the gate comes here. */
const anyPort = '127.0.0.1:0';

/** Where a keeper behind gates is to be. */
export interface Where {
  readonly listen: string;
  readonly advertise: string;
  readonly tracker: string;
}

/** @param start starts the tracker on an address */
export function launchFaultyTracker(listen: string, start: Launch): Promise<Running> {
  const gate = new Gate();
  return behind([gate], async () => {
    const address = await gate.listen(listen);
    const tracker = await start(anyPort);
    gate.target = tracker.address;
    return { ...tracker, address };
  });
}

/** @param start starts the keeper where it is told */
export function launchFaultyKeeper(
  listen: string,
  trackerAddress: string,
  start: (where: Where) => Promise<Running>,
): Promise<Running> {
  const [gate, link] = [new Gate(), new Gate()];
  return behind([gate, link], async () => {
    const advertise = await gate.listen(listen);
    link.target = trackerAddress;
    const keeper = await start({ listen: anyPort, advertise, tracker: await link.listen(anyPort) });
    gate.target = keeper.boundAddress;
    return keeper;
  });
}

/** The gates end with what is behind them. */
async function behind(gates: readonly Gate[], start: () => Promise<Running>): Promise<Running> {
  const closeAll = async (): Promise<void> => {
    await Promise.all(gates.map((gate) => gate.close()));
  };
  try {
    const running = await start();
    return {
      ...running,
      controls: controlsOf(gates),
      stop: () => running.stop().finally(closeAll),
      kill: () => Promise.all([running.kill(), closeAll()]).then(() => undefined),
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

function controlsOf(gates: readonly Gate[]): FaultControls {
  return {
    gates,
    partition: (isCutOff) => {
      for (const gate of gates) gate.fault = { ...gate.fault, silent: isCutOff ? 'both' : undefined };
    },
    slow: (delayMs) => {
      for (const gate of gates) gate.fault = { ...gate.fault, delayMs };
    },
  };
}
