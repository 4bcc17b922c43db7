package capture

import "github.com/emersion/go-imap/v2/imapserver"

// Update runs call, which must run the Poll of a session with the given writer. It calls each with
// every response that the session writes, such as "* 3 EXISTS", without its CRLF. The bytes change
// when each has returned.
//
// What each may do, which error is returned, and who may call Update is as for [Fetch].
func Update(call func(w *imapserver.UpdateWriter) error, each func(response []byte) error) error {
	var h handover
	r := &responses{each: each}
	converse(&h, r, "s SELECT INBOX\r\nx NOOP\r\n")

	err := call(h.update)
	return r.finish(err, func() error { return h.update.WriteNumMessages(0) }, "* 0 EXISTS")
}
