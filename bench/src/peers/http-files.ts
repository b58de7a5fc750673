/** A peer whose files are reached over HTTP: its servers, and a client process. */
import { Child } from '../children/child.js';
import type { RunningContender } from '../contender.js';
import { nodeSettings } from '../node-settings.js';
import type { HttpFilesMethods, Place } from './http-files-process.js';
import type { Servers } from './servers.js';

/** Where a file of a name is written, read and removed. */
export interface Places {
  upload(name: string): Place;
  download(name: string): Place;
  /** The URL for DELETE. */
  remove(name: string): string;
}

const clientModule = new URL('./http-files-process.js', import.meta.url);

/** Starts the client; it and the servers end together. */
export async function runHttpFiles(
  servers: Servers,
  places: Places,
  sync: boolean,
): Promise<RunningContender> {
  const client = await Child.start<HttpFilesMethods>(clientModule, nodeSettings);
  return {
    upload: (localPath, name) => client.call('upload', localPath, places.upload(name)),
    download: (name) => client.call('download', places.download(name)),
    downloadToFile: (name, localPath) =>
      client.call('downloadToFile', places.download(name), localPath, sync),
    remove: (name) => client.call('remove', places.remove(name)),
    processes: () => [{ role: 'client', pid: client.pid }, ...servers.processes],
    async stop() {
      await Promise.all([client.stop(), servers.stop()]);
    },
  };
}
