package limits

import (
	"sync/atomic"

	"github.com/emersion/go-imap/v2"
)

// upload is the message of an APPEND, with what the stall watch needs to know of it.
type upload struct {
	imap.LiteralReader
	taken atomic.Uint64 // bytes, earlier messages included
	asks  atomic.Bool   // the backend is waiting for more of it
}

func (u *upload) Read(p []byte) (int, error) {
	u.asks.Store(true)
	n, err := u.LiteralReader.Read(p)
	u.asks.Store(false)
	u.taken.Add(uint64(n))
	return n, err
}
