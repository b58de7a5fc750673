/** The version that the keeper tells the tracker; a test keeps it equal to package.json's. */
export const softwareVersion = '0.1.0';
