package copymeta

import (
	"cmp"

	"github.com/emersion/go-imap/v2"
)

// destination is the mailbox that the copies go to.
type destination struct {
	name string
	// doubt is what the backend answers when it is asked for the mailbox.
	doubt error
	// uidValidity and uidNext are from before the first copy; zero: not known.
	uidValidity uint32
	uidNext     imap.UID
}

// lookAt asks for the destination in a way that changes nothing and notifies nobody. An error
// proves nothing: who may append to a mailbox need not be allowed to ask. Only the backend's own
// answer to APPEND or COPY counts, and whether that is TRYCREATE only the backend knows.
func (s *session) lookAt(dest string) destination {
	d := destination{name: dest}
	data, err := s.Session.Status(dest, &imap.StatusOptions{UIDValidity: true, UIDNext: true})
	if err != nil {
		d.doubt = err
	} else if data != nil {
		d.uidValidity, d.uidNext = data.UIDValidity, data.UIDNext
	}
	return d
}

// prove fails if some of a MOVE's copies may not be there, whatever the APPENDs have said, or with
// the error of the copying.
func (s *session) prove(c *copied, d destination, err error) error {
	if c.done == 0 || err == nil && c.known {
		return err
	}
	now := s.lookAt(d.name)
	if c.replaced || d.isReplaced(c, now) {
		c.unsure = true
		return cmp.Or(err, error(errReplaced))
	}
	if c.known {
		return err
	}
	return cmp.Or(err, c.checkStored(d, now))
}

// isReplaced tells whether the mailbox was deleted after the last copy, and maybe made anew.
func (d destination) isReplaced(c *copied, now destination) bool {
	validity := cmp.Or(c.uidValidity, d.uidValidity)
	return d.doubt == nil && now.doubt != nil ||
		validity != 0 && now.uidValidity != 0 && validity != now.uidValidity
}

// checkStored fails if the backend has stored fewer messages than it said, which UIDNEXT shows.
// Others may have appended some too. It is for a backend that reports no UIDs, and may be one that
// stores equal messages once.
func (c *copied) checkStored(d, now destination) error {
	if d.uidNext == 0 || now.uidNext == 0 || now.uidValidity != d.uidValidity {
		return nil // nobody knows
	}
	stored := int(max(now.uidNext, d.uidNext) - d.uidNext)
	if stored >= c.done {
		return nil
	}
	c.done, c.unsure = stored, true
	return errNotStored
}
