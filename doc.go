// Package imapgate is the root of a library of IMAP admission control: middleware around the NewSession function of any
// [github.com/emersion/go-imap/v2/imapserver] server. It has no code of its own. Each package wraps on its own, and none needs another:
//
//   - [github.com/imapgate/imapgate/limits]: who may connect, log in, FETCH and SEARCH, how many at once, and how long the rest may queue.
//
// They stack by wrapping one another. limits goes outermost, so that it refuses before any other work is done:
//
//	limiter := limits.New(limits.DefaultOptions())
//	newSession := limiter.Wrap(backend.NewSession)
//	server := imapserver.New(&imapserver.Options{NewSession: newSession})
package imapgate
