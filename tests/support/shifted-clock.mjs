/**
 * `node --import` this, and SIGUSR2 sets the wall clock of the process, one step after the other: the machine has one
 * clock, which others need. It is what JavaScript sees of it; monotonic time stays.
 */
const RealDate = Date;
/** An hour ahead, a day behind, a year ahead, and right again. */
const offsetsMs = [3_600_000, -86_400_000, 365 * 86_400_000, 0];
let offsetMs = 0;
let steps = 0;

globalThis.Date = class Date extends RealDate {
  constructor(...args) {
    if (args.length === 0) super(Date.now());
    else super(...args);
  }

  static now() {
    return RealDate.now() + offsetMs;
  }
};

process.on('SIGUSR2', () => {
  offsetMs = offsetsMs[steps % offsetsMs.length];
  steps += 1;
});
