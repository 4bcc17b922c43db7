// This file is copied beside go-imap's own client tests, which then run through the packages that IMAPGATE_STACK names.
package imapclient_test

import (
	"os"

	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/idle"
	"github.com/imapgate/imapgate/limits"
	"github.com/imapgate/imapgate/vfolders"
)

type newSessionFunc = func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error)

func throughStack(newSession newSessionFunc) newSessionFunc {
	switch stack := os.Getenv("IMAPGATE_STACK"); stack {
	case "bare":
	case "limits-zero":
		newSession = limits.New(nil).Wrap(newSession)
	case "limits":
		newSession = limits.New(limits.DefaultOptions()).Wrap(newSession)
	case "limits-dry-run":
		options := limits.DefaultOptions()
		options.DryRun = true
		newSession = limits.New(options).Wrap(newSession)
	case "vfolders":
		newSession = vfolders.Wrap(newSession, nil)
	case "vfolders-noselect":
		newSession = vfolders.Wrap(newSession, &vfolders.Options{Mode: vfolders.NoSelect})
	case "copymeta-zero":
		newSession = copymeta.Wrap(newSession, nil)
	case "copymeta-preserve":
		newSession = copymeta.Wrap(newSession, &copymeta.Options{InternalDate: copymeta.Preserve, Flags: copymeta.Preserve, Move: true})
	case "copymeta-reset":
		newSession = copymeta.Wrap(newSession, &copymeta.Options{InternalDate: copymeta.Reset, Flags: copymeta.Reset, Move: true})
	case "idle-zero":
		newSession = idle.Wrap(newSession, nil)
	case "idle-poll":
		newSession = idle.Wrap(newSession, &idle.Options{Mode: idle.Poll})
	case "idle-off":
		newSession = idle.Wrap(newSession, &idle.Options{Mode: idle.Off})
	case "all":
		newSession = copymeta.Wrap(newSession, &copymeta.Options{InternalDate: copymeta.Preserve, Flags: copymeta.Preserve})
		newSession = vfolders.Wrap(newSession, nil)
		newSession = idle.Wrap(newSession, &idle.Options{Mode: idle.Poll})
		newSession = limits.New(limits.DefaultOptions()).Wrap(newSession)
	default:
		panic("IMAPGATE_STACK is " + stack)
	}
	return newSession
}
