//! A database of a test's own, dropped with its value.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use diesel::connection::SimpleConnection;

use super::{Kind, server::Site};
use crate::{
    Database,
    dump::{self, Table, is_tool_table},
};

/// An empty database on a server, dropped with whatever is still connected to it.
#[derive(Debug)]
pub struct FreshDatabase<K: Kind> {
    site: Arc<Site<K>>,
    name: String,
    url: String,
}

impl<K: Kind> FreshDatabase<K> {
    pub(super) fn create(site: Arc<Site<K>>) -> FreshDatabase<K> {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let statement = format!("CREATE DATABASE {name}");
        site.connect(K::HOME).batch_execute(&statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
        FreshDatabase { url: K::url(&site.address, &name), site, name }
    }

    /// The URL over the server's unix socket, as an administrator without a password.
    pub fn socket_url(&self) -> String {
        K::socket_url(&self.site.address, &self.name)
    }

    fn split_tables(&self) -> (Vec<Table>, Vec<Table>) {
        let lines = self.texts(K::TABLES);
        let (mut tools, mut others) = (Vec::new(), Vec::new());
        for line in lines {
            let parts: Vec<&str> = line.split('\u{1f}').collect();
            let &[bare, name, quoted] = &parts[..] else { panic!("not three parts: {line:?}") };
            let table = Table { name: name.to_owned(), quoted: quoted.to_owned() };
            if is_tool_table(bare) { tools.push(table) } else { others.push(table) }
        }
        (tools, others)
    }
}

impl<K: Kind> Database for FreshDatabase<K> {
    type Connection = K::Connection;

    fn name(&self) -> &str {
        &self.name
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn tables(&self) -> Vec<Table> {
        self.split_tables().1
    }

    fn dump(&self) -> String {
        let (tools, _) = self.split_tables();
        let dump = dump::run(&mut K::dump(&self.site.address, &self.name, &tools));
        // MariaDB writes the name of the database in some places, and no two have the same.
        dump::normalise(&dump).replace(&format!("`{}`", self.name), "`database`")
    }

    fn texts(&self, query: &str) -> Vec<String> {
        K::texts(&mut self.site.connect(&self.name), query)
    }
}

impl<K: Kind> Drop for FreshDatabase<K> {
    fn drop(&mut self) {
        // On a server that a test stopped, killed or froze there is nobody to ask; its folder goes away as a whole.
        // A test that failed may have left anything behind, and a second panic would hide its words.
        if self.site.up.load(Ordering::SeqCst) && !thread::panicking() {
            K::drop_database(&mut self.site.connect(K::HOME), &self.name);
        }
    }
}
