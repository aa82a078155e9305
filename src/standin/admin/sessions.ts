// What an operator does to the sessions of an account, in one dialect or in both.
import type { Account } from '../store/accounts.ts'
import type { Store } from '../store/store.ts'

export type Dialect = 'classic' | 'webapp'

/** Ends sessions, or makes the same ones work again. @param dialect undefined for both */
export function setExpired(
  { accounts, logins }: Store,
  account: Account,
  dialect: Dialect | undefined,
  expired: boolean,
): void {
  if (dialect !== 'webapp') {
    account.expired = expired
    accounts.save(account)
  }
  if (dialect === 'classic') return
  for (const login of logins.of(account.uin)) {
    if (expired) logins.expire(login)
    else logins.revive(login)
  }
}

/** Ends sessions for good and makes a new one of the same kind. */
export function rotate(
  { accounts, logins }: Store,
  account: Account,
  dialect: Dialect | undefined,
): void {
  if (dialect !== 'webapp') accounts.rotate(account)
  if (dialect === 'classic') return
  const ended = logins.of(account.uin)
  for (const login of ended) logins.end(login)
  logins.start(account.uin, ended[0]?.kind ?? 'qq', Date.now())
}
