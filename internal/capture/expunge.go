package capture

import "github.com/emersion/go-imap/v2/imapserver"

// Expunge runs call, which must run the EXPUNGE of a session with the given writer. It calls each
// with every sequence number that the session writes, in order, before the session's own
// WriteExpunge returns.
//
// What each may do, which error is returned, and who may call Expunge is as for [Fetch].
func Expunge(call func(w *imapserver.ExpungeWriter) error, each func(seqNum uint32) error) error {
	var h handover
	r := &responses{each: func(text []byte) error {
		s := &scanner{rest: text}
		s.expect("* ")
		seqNum := s.uint32()
		s.expect(" EXPUNGE")
		if s.err != nil {
			return s.err
		}
		return each(seqNum)
	}}
	converse(&h, r, "s SELECT INBOX\r\nx EXPUNGE\r\n")
	defer r.end()

	err := call(h.expunge)
	return r.finish(err, func() error { return h.expunge.WriteExpunge(0) }, "* 0 EXPUNGE")
}
