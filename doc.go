// Package imapgate is the root of a library of IMAP admission control: middleware around the
// NewSession function of any [github.com/emersion/go-imap/v2/imapserver] server. It has no code of
// its own. Each package wraps on its own, and none needs another:
//
//   - [github.com/imapgate/imapgate/limits]: who may connect, log in, FETCH and SEARCH, how many at
//     once, and how long the rest may queue.
//   - [github.com/imapgate/imapgate/idle]: IDLE on, served by polling, or off.
//   - [github.com/imapgate/imapgate/vfolders]: parent folders that do not exist, shown and opened
//     as empty ones.
//   - [github.com/imapgate/imapgate/copymeta]: whether COPY keeps internal date and flags, or
//     resets them.
//
// They stack by wrapping one another. copymeta goes directly around the backend, and limits
// outermost, so that it refuses before any other work is done:
//
//	newSession := copymeta.Wrap(backend.NewSession, &copymeta.Options{Flags: copymeta.Reset})
//	newSession = vfolders.Wrap(newSession, &vfolders.Options{Prefixes: []string{"#users"}})
//	newSession = idle.Wrap(newSession, &idle.Options{Mode: idle.Poll})
//	limiter := limits.New(limits.DefaultOptions())
//	newSession = limiter.Wrap(newSession)
//	server := imapserver.New(&imapserver.Options{NewSession: newSession})
package imapgate
