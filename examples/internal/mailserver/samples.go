package mailserver

import (
	"embed"
	"fmt"
	"io/fs"
	"time"

	"github.com/emersion/go-imap/v2"
)

//go:embed samples/*.eml
var sampleFiles embed.FS

// read is how many of the samples have been read.
const read = 2

// samples returns the mail that a user finds in INBOX.
func samples() []message {
	names, err := fs.Glob(sampleFiles, "samples/*.eml")
	if err != nil {
		panic(err)
	}
	mail := make([]message, len(names))
	for i, name := range names {
		raw, err := sampleFiles.ReadFile(name)
		if err == nil {
			mail[i], err = newMessage(raw, time.Now())
		}
		if err != nil {
			panic(fmt.Sprintf("%s: %v", name, err))
		}
		if i < read {
			mail[i].flags = []imap.Flag{imap.FlagSeen}
		}
	}
	return mail
}
