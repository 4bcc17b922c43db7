package limits

import (
	"io"
	"sync/atomic"

	"github.com/emersion/go-imap/v2"
)

// upload is the message of an APPEND, with what the stall watch needs to know of it.
type upload struct {
	imap.LiteralReader
	left  int64         // bytes of this message that were not read yet
	taken atomic.Uint64 // bytes, earlier messages included
	asks  atomic.Bool   // the backend is waiting for more of it
}

func (u *upload) begin(r imap.LiteralReader) { u.LiteralReader, u.left = r, r.Size() }

// Read returns io.EOF only after the whole message. go-imap also does when the client is gone, and
// the backend would store what has come as if it were all.
func (u *upload) Read(p []byte) (int, error) {
	u.asks.Store(true)
	n, err := u.LiteralReader.Read(p)
	u.asks.Store(false)
	u.taken.Add(uint64(n))
	if u.left -= int64(n); err == io.EOF && u.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
