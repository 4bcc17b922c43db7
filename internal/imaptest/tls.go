package imaptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"sync"
	"time"
)

var serverCertificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{"imap.example"},
		NotBefore: time.Date(
			1990, 1, 1, 0, 0, 0, 0, time.UTC,
		), // a synctest bubble lives in the year 2000
		NotAfter: time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
})

// ServerTLS returns the TLS configuration of a server named imap.example.
func ServerTLS() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{serverCertificate()}}
}

// ClientTLS returns the TLS configuration of a client that trusts the server of [ServerTLS].
func ClientTLS() *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(serverCertificate().Leaf)
	return &tls.Config{RootCAs: roots, ServerName: "imap.example"}
}
