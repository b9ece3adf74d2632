/**
 * The order in which an instance tries the members of etcd. Pure: the caller brings the chance.
 */

/**
 * The endpoints in an order of this instance's own, each order as likely as any other: a fleet spreads over all members,
 * and those whose member is lost spread over all that are left, instead of all going to the next in the list.
 * @param random gives numbers in [0, 1)
 */
export function shuffle(endpoints: readonly string[], random: () => number): readonly string[] {
  const left = [...endpoints];
  return endpoints.flatMap(() => left.splice(Math.floor(random() * left.length), 1));
}
