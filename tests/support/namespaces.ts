/**
 * A network for one test: machines that are network namespaces of this one, each on a cable to a switch. A cable that is
 * pulled takes packets with it and tells nobody, which no proxy of connections can do.
 *
 * The failure it answers: a test that dies would leave namespaces behind, and processes in them. So a shell, waiting on a
 * pipe from this process, cleans up when the pipe ends, however that came about.
 */
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Namespaces are of the whole machine; addresses are of this network alone. */
const subnet = '10.77.0';

const cleanUp = `
cat
for namespace; do
  ip netns pids "$namespace" 2>&- | xargs -r kill -9
  ip netns del "$namespace"
done
`;

/** What is missing on this machine; undefined if nothing is. */
export function missingForNamespaces(): string | undefined {
  if (process.platform !== 'linux') return 'Linux';
  if (process.getuid?.() !== 0) return 'root';
  const tool = ['ip', 'tc', 'xargs'].find(
    (name) => spawnSync('sh', ['-c', `command -v ${name}`]).status !== 0,
  );
  if (tool !== undefined) return tool;
  // Root in a container may not do everything.
  const trial = `holdfast-${randomBytes(4).toString('hex')}`;
  const attempt = `ip netns add ${trial} && ip -n ${trial} link add name s type bridge; s=$?; ip netns del ${trial}; exit $s`;
  return spawnSync('sh', ['-c', attempt]).status === 0 ? undefined : 'network namespaces with bridges';
}

/** One packet in so many is lost, where packets are: 6 %. */
const lostOneIn = 16;

/**
 * What has a device lose packets that it sends: those whose number in the header of IP ends so, which one in 16 does, go to
 * a queue that takes none. Few kernels have what is made for this (netem), and these parts many. Number 0 is of packets
 * that begin a connection and would all be lost.
 */
function lossOn(device: string): readonly (readonly string[])[] {
  const number = `0x${(lostOneIn - 1).toString(16).padStart(4, '0')}`;
  return [
    `qdisc add dev ${device} root handle 1: htb default 1`,
    `class add dev ${device} parent 1: classid 1:1 htb rate 10gbit quantum 60000`,
    `class add dev ${device} parent 1: classid 1:2 htb rate 8bit quantum 60000`,
    `qdisc add dev ${device} parent 1:2 bfifo limit 1`,
    `filter add dev ${device} parent 1: protocol ip u32 match u16 0x0005 ${number} at 4 flowid 1:2`,
  ].map((words) => words.split(' '));
}

/** What is missing on this machine for links that lose packets; undefined if nothing is. */
export function missingForLoss(): string | undefined {
  const missing = missingForNamespaces();
  if (missing !== undefined) return missing;
  const trial = `holdfast-${randomBytes(4).toString('hex')}`;
  spawnSync('ip', ['netns', 'add', trial]);
  const attempts = lossOn('lo').map((words) => spawnSync('tc', ['-n', trial, ...words]).status);
  spawnSync('ip', ['netns', 'del', trial]);
  return attempts.every((status) => status === 0) ? undefined : 'sch_htb and cls_u32';
}

export class Network {
  readonly #prefix: string;
  readonly #names: readonly string[];
  readonly #janitor: ChildProcess;

  private constructor(prefix: string, names: readonly string[], janitor: ChildProcess) {
    this.#prefix = prefix;
    this.#names = names;
    this.#janitor = janitor;
  }

  /** Makes a machine of each name, all on one switch. */
  static async make(names: readonly string[]): Promise<Network> {
    const prefix = `holdfast-${randomBytes(4).toString('hex')}-`;
    const all = ['switch', ...names].map((name) => prefix + name);
    const janitor = spawn('sh', ['-c', cleanUp, 'sh', ...all], {
      stdio: ['pipe', 'ignore', 'ignore'],
      // A Ctrl-C ends the tests first.
      detached: true,
    });
    const network = new Network(prefix, names, janitor);
    for (const name of all) await run('ip', ['netns', 'add', name]);
    await network.#ip('switch', 'link', 'add', 'name', 'switch', 'type', 'bridge');
    await network.#ip('switch', 'link', 'set', 'switch', 'up');
    for (const name of names) await network.#connect(name);
    return network;
  }

  async #connect(name: string): Promise<void> {
    const port = this.#port(name);
    const peer = ['peer', 'name', 'cable', 'netns', this.#prefix + name];
    await this.#ip('switch', 'link', 'add', port, 'type', 'veth', ...peer);
    await this.#ip('switch', 'link', 'set', port, 'master', 'switch', 'up');
    await this.#ip(name, 'address', 'add', `${this.address(name)}/24`, 'dev', 'cable');
    for (const device of ['lo', 'cable']) await this.#ip(name, 'link', 'set', device, 'up');
  }

  /** The command by which another one is run on a machine. */
  on(name: string): readonly string[] {
    return ['ip', 'netns', 'exec', this.#prefix + name];
  }

  address(name: string): string {
    return `${subnet}.${this.#names.indexOf(name) + 1}`;
  }

  /** What the machine sends and is sent vanishes. */
  async pullCable(name: string): Promise<void> {
    await this.#ip('switch', 'link', 'set', this.#port(name), 'nomaster');
  }

  async plugCable(name: string): Promise<void> {
    await this.#ip('switch', 'link', 'set', this.#port(name), 'master', 'switch');
  }

  /** What the one sends to the other vanishes, and not what it is sent by it. */
  async cutOneWay(from: string, to: string): Promise<void> {
    await this.#ip(from, 'route', 'add', 'blackhole', `${this.address(to)}/32`);
  }

  async mendOneWay(from: string, to: string): Promise<void> {
    await this.#ip(from, 'route', 'del', 'blackhole', `${this.address(to)}/32`);
  }

  /** So many bytes a second reach the machine, at most, and as many leave it. */
  async narrow(name: string, bytesPerS: number): Promise<void> {
    const shape = ['root', 'tbf', 'rate', `${bytesPerS * 8}bit`, 'burst', '64kb', 'latency', '100ms'];
    for (const [machine, device] of this.#endsOf(name)) {
      await this.#tc(machine, 'qdisc', 'replace', 'dev', device, ...shape);
    }
  }

  /** Some of the packets that the machine is sent are lost, and as many of those that it sends. */
  async lose(name: string): Promise<void> {
    for (const [machine, device] of this.#endsOf(name)) {
      // What is sent in one go and cut up by the device would be lost in one go.
      await this.#ip(machine, 'link', 'set', 'dev', device, 'gso_max_segs', '1');
      for (const words of lossOn(device)) await this.#tc(machine, ...words);
    }
  }

  /** How many packets from and to a machine were lost. */
  async lostPackets(name: string): Promise<number> {
    let lost = 0;
    for (const [machine, device] of this.#endsOf(name)) {
      const { stdout } = await this.#tc(machine, '-s', 'qdisc', 'show', 'dev', device);
      lost += Number(/bfifo[^]*?\(dropped (\d+),/.exec(stdout)?.[1] ?? 0);
    }
    return lost;
  }

  /** The link is neither narrow nor lossy any more. */
  async mend(name: string): Promise<void> {
    for (const [machine, device] of this.#endsOf(name)) {
      await this.#tc(machine, 'qdisc', 'del', 'dev', device, 'root');
    }
  }

  /** Ends every process on it, and takes it down. */
  async remove(): Promise<void> {
    const ended = new Promise((resolve) => this.#janitor.once('close', resolve));
    this.#janitor.stdin?.end();
    await ended;
  }

  /** The two ends of its cable: what is sent to it goes through the first, what it sends through the other. */
  #endsOf(name: string): readonly (readonly [machine: string, device: string])[] {
    return [
      ['switch', this.#port(name)],
      [name, 'cable'],
    ];
  }

  /** Of the switch. */
  #port(name: string): string {
    return `port${this.#names.indexOf(name) + 1}`;
  }

  #tc(name: string, ...words: readonly string[]): Promise<{ readonly stdout: string }> {
    return run('tc', ['-n', this.#prefix + name, ...words]);
  }

  async #ip(name: string, ...words: readonly string[]): Promise<void> {
    await run('ip', ['-n', this.#prefix + name, ...words]);
  }
}
