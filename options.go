package imapgate

import (
	"errors"
	"fmt"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/idle"
	"github.com/imapgate/imapgate/limits"
	"github.com/imapgate/imapgate/vfolders"
)

// Options configure a [Server].
type Options struct {
	// Server has the options of go-imap's server, and they mean the same here. NewSession is the
	// backend's own and must not be nil. TLSConfig is for STARTTLS and ListenAndServeTLS.
	Server imapserver.Options
	// Limits are the options of package limits. Nil means [limits.DefaultOptions].
	Limits *limits.Options
	// Idle says how IDLE is served. Nil leaves it to the backend. With the Mode [idle.Off] and no
	// ModeFor it is not advertised. The answer is then "BAD Unknown command" or, with IMAP4rev2, which
	// includes IDLE, "NO [CANNOT]".
	Idle *idle.Options
	// Folders are the options of package vfolders. Nil means no virtual folders. Without a History,
	// the server has one in memory.
	Folders *vfolders.Options
	// Copy says what a copy keeps of its source. Nil leaves it to the backend.
	Copy *copymeta.Options
}

func (o *Options) validate() error {
	switch caps := o.Server.Caps; {
	case o.Server.NewSession == nil:
		return errors.New("imapgate: Server.NewSession is nil")
	case caps != nil && !caps.Has(imap.CapIMAP4rev1) && !caps.Has(imap.CapIMAP4rev2):
		return errors.New("imapgate: Server.Caps has neither IMAP4rev1 nor IMAP4rev2")
	}
	return o.validatePackages()
}

func (o *Options) validatePackages() error {
	var err error
	check := func(name string, invalid error) {
		if err == nil && invalid != nil {
			err = fmt.Errorf("imapgate: %s: %w", name, invalid)
		}
	}
	if o.Limits != nil {
		check("Limits", o.Limits.Validate())
	}
	if o.Idle != nil {
		check("Idle", o.Idle.Validate())
	}
	if o.Folders != nil {
		check("Folders", o.Folders.Validate())
	}
	if o.Copy != nil {
		check("Copy", o.Copy.Validate())
	}
	return err
}

func (o *Options) limits() *limits.Options {
	if o.Limits == nil {
		return limits.DefaultOptions()
	}
	return o.Limits
}

func (o *Options) hidesIdle() bool {
	return o.Idle != nil && o.Idle.Mode == idle.Off && o.Idle.ModeFor == nil
}
