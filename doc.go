// Package imapgate protects an IMAP server from clients that misbehave. Its [Server] is the one of
// [github.com/emersion/go-imap/v2/imapserver] with four packages around your NewSession function. A
// guard in front of it reads what clients send before go-imap does.
//
//	server, err := imapgate.NewServer(&imapgate.Options{
//		Server:  imapserver.Options{NewSession: backend.NewSession, TLSConfig: tlsConfig},
//		Folders: &vfolders.Options{Prefixes: []string{"#users"}},
//		Copy:    &copymeta.Options{Flags: copymeta.Preserve},
//	})
//
// Each package also works alone, around any go-imap server, and none needs another:
//
//   - [github.com/imapgate/imapgate/limits]: who may connect, log in, FETCH, SEARCH and run other
//     commands, how many at once, and how long the rest may queue.
//   - [github.com/imapgate/imapgate/idle]: IDLE on, served by polling, or off.
//   - [github.com/imapgate/imapgate/vfolders]: parent folders that do not exist, shown and opened
//     as empty ones.
//   - [github.com/imapgate/imapgate/copymeta]: whether COPY keeps internal date and flags, or
//     resets them.
//
// If you stack the packages yourself, put copymeta directly around the backend, then vfolders, then
// idle. Put limits outermost, so that it refuses before any other work is done:
//
//	newSession := copymeta.Wrap(backend.NewSession, &copymeta.Options{Flags: copymeta.Preserve})
//	newSession = vfolders.Wrap(newSession, &vfolders.Options{Prefixes: []string{"#users"}})
//	newSession = idle.Wrap(newSession, &idle.Options{Mode: idle.Poll})
//	limiter := limits.New(limits.DefaultOptions())
//	newSession = limiter.Wrap(newSession)
//
// If you must keep your own server, [NewListener] puts the guard in front of it. On a socket the
// guard writes the lines of an answer in one piece; data of a slow command can arrive 5 ms later.
package imapgate
