/** Where a keeper is reached, and in which failure domain it stands. */
export interface KeeperEndpoint {
  readonly keeperId: string;
  /** HOST:PORT. */
  readonly address: string;
  /** The failure domain; '' for one of its own. */
  readonly zone: string;
}
