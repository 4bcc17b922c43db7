package capture

import (
	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// Update runs call, which must run the Poll of a session with the given writer. It calls each with
// every response that the session writes, such as "* 3 EXISTS", without its CRLF. The bytes change
// when each has returned.
//
// What each may do, which error is returned, and who may call Update is as for [Fetch].
func Update(call func(w *imapserver.UpdateWriter) error, each func(response []byte) error) error {
	var h handover
	r := &responses{each: each}
	converse(&h, r, "s SELECT INBOX\r\nx NOOP\r\n")
	defer r.end()

	err := call(h.update)
	return r.finish(err, func() error { return h.update.WriteNumMessages(0) }, "* 0 EXISTS")
}

// WriteUpdate writes a response that [Update] has handed over to another writer.
func WriteUpdate(w *imapserver.UpdateWriter, response []byte) error {
	s := &scanner{rest: response}
	if s.accept("* FLAGS ") {
		flags := []imap.Flag{}
		s.list(func() { flags = append(flags, imap.Flag(s.atom())) })
		if s.err != nil {
			return s.err
		}
		return w.WriteMailboxFlags(flags)
	}
	s.expect("* ")
	n := s.uint32()
	s.expect(" ")
	if s.err != nil {
		return s.err
	}
	switch string(s.rest) {
	case "EXISTS":
		return w.WriteNumMessages(n)
	case "EXPUNGE":
		return w.WriteExpunge(n)
	case "RECENT":
		return w.WriteNumRecent(n)
	}
	s = &scanner{rest: response}
	m, _ := readMessage(s)
	if s.err != nil {
		return s.err
	}
	return w.WriteMessageFlags(m.SeqNum, m.UID, m.Flags)
}
