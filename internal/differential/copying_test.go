package differential_test

import (
	"io"
	"strings"
	"sync"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/capture"
)

// copies says what happens to a message that is copied.
type copies int

const (
	untouched copies = iota // the backend does COPY and MOVE
	preserved
	reset
)

type messageID struct {
	uidValidity uint32
	uid         imap.UID
}

// bodies holds what was appended to the mailboxes of a user.
type bodies struct {
	mu sync.Mutex
	of map[messageID]string
}

func newBodies() *bodies { return &bodies{of: make(map[messageID]string)} }

func (b *bodies) put(at *imap.AppendData, body string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.of[messageID{at.UIDValidity, at.UID}] = body
}

func (b *bodies) get(id messageID) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.of[id]
}

// copying copies as copymeta does with Preserve or Reset, and with Move. To reset, it appends the
// body that it has in memory. To preserve, it uses the COPY of imapmemserver, which keeps
// everything.
type copying struct {
	imapserver.SessionIMAP4rev2
	all         map[string]*bodies // by user
	bodies      *bodies
	reset       bool
	mailbox     string // the selected one
	uidValidity uint32
	readOnly    bool
}

func (c *copying) Login(username, password string) error {
	c.bodies = c.all[username]
	return c.SessionIMAP4rev2.Login(username, password)
}

func (c *copying) Select(mailbox string, options *imap.SelectOptions) (*imap.SelectData, error) {
	data, err := c.SessionIMAP4rev2.Select(mailbox, options)
	if err == nil {
		c.mailbox, c.uidValidity, c.readOnly = mailbox, data.UIDValidity, options.ReadOnly
	}
	return data, err
}

func (c *copying) Append(
	mailbox string, r imap.LiteralReader, options *imap.AppendOptions,
) (*imap.AppendData, error) {
	var body strings.Builder
	data, err := c.SessionIMAP4rev2.Append(mailbox, teed{io.TeeReader(r, &body), r.Size()}, options)
	if err == nil {
		c.bodies.put(data, body.String())
	}
	return data, err
}

type teed struct {
	io.Reader
	size int64
}

func (t teed) Size() int64 { return t.size }

func (c *copying) Copy(numSet imap.NumSet, dest string) (*imap.CopyData, error) {
	itself := dest == c.mailbox // imapmemserver refuses that
	if !itself {
		if _, err := c.SessionIMAP4rev2.Copy(imap.UIDSet{}, dest); err != nil {
			return nil, err
		}
	}
	data := &imap.CopyData{}
	var err error
	if c.reset || itself {
		err = c.copyByAppend(data, numSet, dest)
	} else {
		data, err = c.SessionIMAP4rev2.Copy(numSet, dest)
	}
	if err != nil || len(data.SourceUIDs) == 0 {
		return nil, err // COPYUID names only messages that were copied
	}
	return data, nil
}

func (c *copying) copyByAppend(data *imap.CopyData, numSet imap.NumSet, dest string) error {
	criteria := &imap.SearchCriteria{}
	switch set := numSet.(type) {
	case imap.SeqSet:
		criteria.SeqNum = []imap.SeqSet{set}
	case imap.UIDSet:
		criteria.UID = []imap.UIDSet{set}
	}
	found, err := c.SessionIMAP4rev2.Search(imapserver.NumKindUID, criteria, &imap.SearchOptions{})
	if err != nil {
		return err
	}
	uids, _ := found.All.(imap.UIDSet).Nums()
	for _, uid := range uids {
		options, err := c.appendOptions(uid)
		if err != nil {
			return err
		}
		body := strings.NewReader(c.bodies.get(messageID{c.uidValidity, uid}))
		appended, err := c.Append(dest, body, options)
		if err != nil {
			return err
		}
		data.UIDValidity = appended.UIDValidity
		data.SourceUIDs.AddNum(uid)
		data.DestUIDs.AddNum(appended.UID)
	}
	return nil
}

// appendOptions returns the options for a copy of the message.
func (c *copying) appendOptions(uid imap.UID) (*imap.AppendOptions, error) {
	options := &imap.AppendOptions{}
	if c.reset {
		return options, nil
	}
	err := capture.Fetch(func(w *imapserver.FetchWriter) error {
		items := &imap.FetchOptions{UID: true, Flags: true, InternalDate: true}
		return c.SessionIMAP4rev2.Fetch(w, imap.UIDSetNum(uid), items)
	}, nil, func(m *capture.Message) error {
		options.Flags, options.Time = m.Flags, m.InternalDate
		return nil
	})
	return options, err
}

func (c *copying) Move(w *imapserver.MoveWriter, numSet imap.NumSet, dest string) error {
	if c.readOnly {
		return &imap.Error{Type: imap.StatusResponseTypeNo, Text: "The mailbox is read-only"}
	}
	return move(c, w, numSet, dest)
}
