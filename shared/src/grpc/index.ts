/** Channels, calls, servers, errors and messages over grpc-js. */
export * from './block-messages.js';
export * from './call.js';
export * from './channel.js';
export * from './error-details.js';
export { HealthService } from './health.js';
export { cutOff } from './insides/server.js';
export * from './messages.js';
export { addReflection } from './reflection.js';
export * from './server.js';
export * from './transport.js';
