#!/usr/bin/env node
// Starts a data keeper. Old syntax on purpose: an old Node must get as far as the message below.
'use strict';

var existsSync = require('node:fs').existsSync;
var join = require('node:path').join;
var pathToFileURL = require('node:url').pathToFileURL;

var version = process.versions.node.split('.').map(Number);
var dist = join(__dirname, '..', 'dist');
var main = join(dist, 'main.js');
if (version[0] < 20 || (version[0] === 20 && version[1] < 19)) {
  console.error('data-keeper: needs Node 20.19 or newer, and this is Node ' + process.versions.node + '.');
  process.exitCode = 1;
} else if (!existsSync(main)) {
  console.error('data-keeper: is not built yet (there is no ' + main + '); run: npm run build');
  process.exitCode = 1;
} else {
  // libuv reads this once, at the first use of its pool. With its 4 threads, 4 slow disk operations would
  // hold up everything else that uses files or names of hosts.
  process.env.UV_THREADPOOL_SIZE = process.env.UV_THREADPOOL_SIZE || '16';
  import(pathToFileURL(join(dist, 'node-flags.js')).href)
    .then(function (flags) {
      flags.restartWithNodeFlags();
      return import(pathToFileURL(main).href);
    })
    .catch(function (error) {
      console.error('data-keeper: cannot be loaded; if it was built before a change, run: npm run build');
      console.error(error);
      process.exitCode = 1;
    });
}
